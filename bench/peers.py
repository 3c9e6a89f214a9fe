"""What a user could do instead, for one pair of classes: rows (N, d) and whether each is of the first class → R."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Peer = Callable[[Array, NDArray[np.bool_]], int]


def _crossing(i: Array, j: Array, is_first: NDArray[np.bool_]) -> int:
    return int((is_first[i.astype(np.intp)] != is_first[j.astype(np.intp)]).sum())


def _sparse_tree(distances: Array, is_first: NDArray[np.bool_]) -> int:
    from scipy.sparse.csgraph import minimum_spanning_tree

    tree = minimum_spanning_tree(distances).tocoo()
    return _crossing(tree.row, tree.col, is_first)


def scipy_pdist(rows: Array, is_first: NDArray[np.bool_]) -> int:
    from scipy.spatial.distance import pdist, squareform

    return _sparse_tree(squareform(pdist(rows.astype(np.float64))), is_first)


def sklearn_pairwise(rows: Array, is_first: NDArray[np.bool_]) -> int:
    from sklearn.metrics import pairwise_distances

    return _sparse_tree(pairwise_distances(rows), is_first)


def torch_cdist(rows: Array, is_first: NDArray[np.bool_]) -> int:
    import torch

    points = torch.from_numpy(rows)
    return _sparse_tree(torch.cdist(points, points).numpy(), is_first)


def torch_hdbscan(rows: Array, is_first: NDArray[np.bool_]) -> int:
    """The best composition of existing parts: matrix by torch, Prim by hdbscan."""
    import torch
    from hdbscan._hdbscan_linkage import mst_linkage_core

    points = torch.from_numpy(rows)
    tree = mst_linkage_core(torch.cdist(points, points).double().numpy())
    return _crossing(tree[:, 0], tree[:, 1], is_first)


def networkx_kruskal(rows: Array, is_first: NDArray[np.bool_]) -> int:
    import networkx
    from scipy.spatial.distance import pdist, squareform

    graph = networkx.from_numpy_array(squareform(pdist(rows.astype(np.float64))))
    edges = np.array(list(networkx.minimum_spanning_edges(graph, data=False)))
    return _crossing(edges[:, 0], edges[:, 1], is_first)


def igraph_full(rows: Array, is_first: NDArray[np.bool_]) -> int:
    import igraph
    from scipy.spatial.distance import pdist

    graph = igraph.Graph.Full(len(rows))  # its edges come in the order of pdist
    kept = graph.spanning_tree(weights=pdist(rows.astype(np.float64)).tolist(), return_tree=False)
    ends = np.stack(np.triu_indices(len(rows), 1))[:, kept]
    return _crossing(ends[0], ends[1], is_first)


def mlpack_emst(rows: Array, is_first: NDArray[np.bool_]) -> int:
    """Borůvka on a kd-tree: fast where there are few features."""
    import mlpack

    tree = mlpack.emst(input_=rows.astype(np.float64))["output"]
    return _crossing(tree[:, 0], tree[:, 1], is_first)


def hyppo_runs(rows: Array, is_first: NDArray[np.bool_]) -> int:
    """The statistic counts the parts that are left when cross edges are cut: one more than there are such edges."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports what scipy and pandas are about to drop
        from hyppo.ksample import FriedmanRafsky

    return int(FriedmanRafsky().statistic(rows.astype(np.float64), is_first.astype(np.int64))) - 1


_MSTREE = """
suppressMessages(library(ade4))
arguments <- commandArgs(trailingOnly = TRUE)
shape <- as.integer(arguments[2:3])
rows <- matrix(readBin(arguments[1], "double", prod(shape)), shape[1], shape[2], byrow = TRUE)
edges <- mstree(dist(rows))
cat(paste(edges[, 1], edges[, 2]), sep = "\n")
"""


def r_mstree(rows: Array, is_first: NDArray[np.bool_]) -> int:
    """What gTests builds on. A process of its own, whose start is part of its seconds."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(rows.astype(np.float64).tobytes())
        file.flush()
        command = ["Rscript", "-e", _MSTREE, file.name, *(str(n) for n in rows.shape)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
    edges = np.array([line.split() for line in answer.stdout.splitlines()], np.intp) - 1
    return _crossing(edges[:, 0], edges[:, 1], is_first)


@cache
def _has_r() -> bool:
    if shutil.which("Rscript") is None:
        return False
    return subprocess.run(["Rscript", "-e", "library(ade4)"], check=False, capture_output=True).returncode == 0


_NEEDS = {
    "scipy pdist + csgraph": (scipy_pdist, ("scipy",)),
    "sklearn pairwise_distances + csgraph": (sklearn_pairwise, ("sklearn",)),
    "torch.cdist + csgraph": (torch_cdist, ("torch",)),
    "torch.cdist + hdbscan Prim": (torch_hdbscan, ("torch", "hdbscan")),
    "igraph": (igraph_full, ("igraph", "scipy")),
    "mlpack emst": (mlpack_emst, ("mlpack",)),
    "hyppo FriedmanRafsky": (hyppo_runs, ("hyppo",)),
    "networkx Kruskal": (networkx_kruskal, ("networkx",)),
}
REFERENCE_PEER = "scipy pdist + csgraph"
BEST_PEER = "torch.cdist + hdbscan Prim"
SLOW_PEERS = ("mlpack emst", "hyppo FriedmanRafsky", "networkx Kruskal", "R ade4 mstree")
"""These get fewer pairs, and only few features where they are timed."""


def installed() -> dict[str, Peer]:
    """The peers whose packages are at hand."""
    found: dict[str, Peer] = {
        name: peer
        for name, (peer, packages) in _NEEDS.items()
        if all(importlib.util.find_spec(package) for package in packages)
    }
    return found | ({"R ade4 mstree": r_mstree} if _has_r() else {})
