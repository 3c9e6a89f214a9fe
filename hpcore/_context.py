"""What all tasks share that look for candidate edges, and the trees that they build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore import _exact_cpu
from hpcore._approximation import Packed
from hpcore._layout import Nodes
from hpcore._mst_cpu import Blocks, CpuBlocks, rounded_up
from hpcore.distances import Points

_SAMPLE = 512


@dataclass(frozen=True)
class Tree:
    """Edges of all minimum trees of one set of nodes, sorted by (weight, u, v); `in_tree` marks one of the trees.

    ``core`` is the longest edge (squared) from each node of the set to the core of that tree, see
    `hpcore._forest_cpu.core_lengths`.
    """

    nodes: slice
    u: NDArray[np.intp]
    v: NDArray[np.intp]
    weight: NDArray[np.float64]
    in_tree: NDArray[np.bool_]
    core: NDArray[np.float64]


@dataclass(frozen=True)
class Context:
    """What all tasks share.

    `blocks` computes on the chosen device; `ladder` holds ways of growing cost on the CPU, the last of them exact.
    Coordinates are multiplied by the square root of `scale`, a power of two, wherever bounds are compared.
    """

    points: Points
    nodes: Nodes
    blocks: Blocks
    ladder: tuple[CpuBlocks, ...]
    scale: float

    def pack(self, part: slice, centre: NDArray[np.float64]) -> Packed:
        """Bring the nodes of a part into the form of the blocks."""
        return self.blocks.pack(self.points.rows, self.nodes.row[part], centre)

    def lengths(self, u: NDArray[np.intp], v: NDArray[np.intp]) -> NDArray[np.float64]:
        """Exact squared distances between nodes."""
        return self.blocks.lengths(self.points.rows, self.nodes.row[u], self.nodes.row[v])

    def upper(self, squared: NDArray[np.float64]) -> NDArray[Any]:
        """Exact squared distances in the units of a block, rounded up."""
        return rounded_up(squared * self.scale, self.blocks.dtype)


def centre_of(points: Points, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean of some rows, or of at least 256 of them spread evenly, for it only has to be near.

    The mean of a sample of n makes their mean squared distance from it larger by one part in n, on average.
    """
    centre = np.empty(points.rows.shape[1])
    _exact_cpu.mean_row(points.rows, rows[:: 1 + rows.shape[0] // _SAMPLE], centre)
    return centre
