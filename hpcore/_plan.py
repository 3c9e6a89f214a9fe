"""How the work is cut so that it fits the memory and occupies all threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcore._approximation import LARGEST_DIRECT
from hpcore._layout import Nodes, Slab
from hpcore.distances import Points
from hpcore.errors import OutOfMemory

RUN_PARTS = 32
"""A task of few features takes pairs of classes with so many parts of points."""
_NODE_BYTES = 256  # indices, tree edges and core lengths of a node
_SMALLEST_PIECE = 128  # rows of a block that are worth a task of their own
_EDGE_BYTES = 768  # edges of a node of the class or the two classes that a thread works on, while they are sorted
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
    in_work = min(n_nodes, 2 * int(np.diff(nodes.start).max()))
    need = 0
    for part_size in (largest, largest // 2, largest // 4, largest // 8, largest // 16):
        size = min(part_size, n_nodes) + 32
        packed_row = 2 * n_features + 40
        block = 4 * size * size + 2 * size * packed_row
        fallback = 12 * size * size + size * (16 * n_features + 20 * min(n_features, 512))  # both sides in float64
        thread = block + fallback + RUN_PARTS * size * _CANDIDATE_BYTES + in_work * _EDGE_BYTES
        fixed = points.copied_bytes + n_nodes * (_NODE_BYTES + panels)
        for keep in (True, False):
            for threads in range(n_threads, 0, -1):
                need = fixed + threads * thread + (n_nodes * packed_row if keep else 0)
                if budget is None or need <= budget:
                    return Plan(part_size, threads, keep)
    raise OutOfMemory(f"`memory_budget` must be at least {need} bytes for these activations; got {budget}.")


def divide(tasks: Sequence[tuple[Slab, Slab]], n_threads: int, unit: int) -> list[list[tuple[Slab, Slab]]]:
    """Each task between two slabs in the pieces of `pieces_of_tasks`, as far as these have enough rows.

    So two classes occupy all threads, and the last of many tasks leave none without work. Pieces have fewer bounds in
    common than the whole, and find a few candidates more. They begin at multiples of `unit` nodes.
    """
    wanted = pieces_of_tasks(np.array([left.n_nodes * right.n_nodes for left, right in tasks], np.int64), n_threads)
    most = (max(1, left.n_nodes // _SMALLEST_PIECE) for left, _ in tasks)
    return [
        [(piece, right) for piece in left.pieces(min(number, limit), unit)]
        for (left, right), number, limit in zip(tasks, wanted, most, strict=True)
    ]


def pieces_of_tasks(work: NDArray[np.intp], n_threads: int) -> list[int]:
    """How many pieces make each task, done in this order, half a thread's share of the work that remains, or less."""
    if n_threads == 1:
        return [1] * work.shape[0]
    remaining = np.cumsum(work[::-1])[::-1]
    return [int(number) for number in np.ceil(2 * n_threads * work / remaining)]
