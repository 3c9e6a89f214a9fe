"""What a user could do instead, for one pair of classes: rows (N, d) and whether each is of the first class → R."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
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


_NEEDS = {
    "scipy pdist + csgraph": (scipy_pdist, ("scipy",)),
    "sklearn pairwise_distances + csgraph": (sklearn_pairwise, ("sklearn",)),
    "torch.cdist + csgraph": (torch_cdist, ("torch",)),
    "torch.cdist + hdbscan Prim": (torch_hdbscan, ("torch", "hdbscan")),
    "networkx Kruskal": (networkx_kruskal, ("networkx",)),
}
REFERENCE_PEER = "scipy pdist + csgraph"
BEST_PEER = "torch.cdist + hdbscan Prim"
SLOW_PEERS = ("networkx Kruskal",)


def installed() -> dict[str, Peer]:
    """The peers whose packages are at hand."""
    return {
        name: peer
        for name, (peer, packages) in _NEEDS.items()
        if all(importlib.util.find_spec(package) for package in packages)
    }
