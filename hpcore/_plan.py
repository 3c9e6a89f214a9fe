"""How the work is cut so that it fits the memory."""

from __future__ import annotations

from dataclasses import dataclass

from hpcore._approximation import LARGEST_DIRECT
from hpcore._layout import Nodes
from hpcore.distances import Points
from hpcore.errors import OutOfMemory

RUN_PARTS = 32
"""A task of few features takes pairs of classes with so many parts of points."""
_NODE_BYTES = 256  # indices, tree edges and core lengths of a node
_CANDIDATE_BYTES = 64  # ends and length of a candidate edge, while it is sorted


@dataclass(frozen=True)
class Plan:
    """How the work is cut: nodes per part, threads, and whether all packed parts stay in memory."""

    part_size: int
    n_threads: int
    keep_packed: bool


def make_plan(points: Points, nodes: Nodes, n_threads: int, budget: int | None, largest: int) -> Plan:
    """The fastest way that fits `budget` bytes beyond the input.

    Raises
    ------
    OutOfMemory
        Not even the smallest parts on one thread fit.
    """
    n_nodes, n_features = nodes.row.shape[0], points.rows.shape[1]
    panels = 3 * n_features * points.rows.itemsize if n_features <= LARGEST_DIRECT else 0  # of each set, and of all
    need = 0
    for part_size in (largest, largest // 2, largest // 4, largest // 8, largest // 16):
        size = min(part_size, n_nodes) + 32
        packed_row = 2 * n_features + 40
        block = 4 * size * size + 2 * size * packed_row
        fallback = 12 * size * size + 20 * size * min(n_features, 512)
        thread = block + fallback + RUN_PARTS * size * _CANDIDATE_BYTES
        fixed = points.copied_bytes + n_nodes * (_NODE_BYTES + panels)
        for keep in (True, False):
            for threads in range(n_threads, 0, -1):
                need = fixed + threads * thread + (n_nodes * packed_row if keep else 0)
                if budget is None or need <= budget:
                    return Plan(part_size, threads, keep)
    raise OutOfMemory(f"`memory_budget` must be at least {need} bytes for these activations; got {budget}.")
