"""Cross edges of the minimum spanning trees over class pairs: what is computed how, and on which device."""

from __future__ import annotations

import importlib.util
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcore._approximation import Approximation, Direct, FixedPoint, FloatProducts, Packed
from hpcore._choice import blocks_on, bytes_come_first, rough_approximation, scale_exponent
from hpcore._layout import PairRange, Slab, lay_out, parts_of_classes, slabs
from hpcore._plan import RUN_PARTS, divide, make_plan
from hpcore.distances import Points
from hpcore.errors import DeviceUnavailable, OutOfMemory, SmallerParts
from hpcore.threads import Scratch, Together, in_threads
from hpcore.ties import Edges

if TYPE_CHECKING:
    from hpcore._candidates import Cross
    from hpcore._context import Tree
    from hpcore._mst_cpu import Blocks

Answer = TypeVar("Answer")
Progress = Callable[[str, int, int], None]

PART_SIZE = 1024
"""Nodes of a block's side: 4 MiB of numbers per thread, which stay in the cache."""
DEVICE_PART_SIZE = 4096
SMALLEST_DEVICE_PART = 256


def resolve_device(device: str) -> str:
    """Return the device that will compute; ``"auto"`` takes the first that exists.

    Raises
    ------
    DeviceUnavailable
        ``"cuda"`` was asked for and is missing.
    """
    if device == "cpu" or (device == "auto" and not _has_nvidia_driver()):
        return "cpu"
    if importlib.util.find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            return "cuda"
    if device == "auto":
        return "cpu"
    raise DeviceUnavailable(
        "`device`: 'cuda' was asked for, but torch finds no CUDA device here; allowed: 'cpu', 'auto'."
    )


def _has_nvidia_driver() -> bool:
    """Whether importing torch can be worth its time."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()


class Forests:
    """Trees of all classes over given points, ready for the edges between the two classes of each pair of a range."""

    def __init__(
        self,
        points: Points,
        codes: NDArray[np.intp],
        n_classes: int,
        *,
        n_threads: int,
        memory_budget: int | None,
        report: Progress,
        device: str = "cpu",
        part_size: int | None = None,
        approximation: Callable[[int], Approximation] | None = None,
        blocks: Callable[[int], Blocks] | None = None,
        trees: Sequence[Tree] | None = None,
        pairs: PairRange | None = None,
    ) -> None:
        """Build the trees; ``report("class_trees", done, n_classes)`` is called after each.

        `device` is any torch device, or ``"cpu"`` for the kernels of the CPU; `approximation` makes the bounds on the
        CPU and `blocks` the blocks, given the exponent of a scale. None has an influence on any result. `trees` are
        those of the same points, where they have been built before; `pairs` the range of pairs that is wanted of all.
        """
        from hpcore._candidates import by_core
        from hpcore._class_trees import BlockSearch, class_trees
        from hpcore._context import Context, centre_of
        from hpcore._mst_cpu import CpuBlocks
        from hpcore._near import Near

        self.points, self.n_classes = points, n_classes
        self.nodes = lay_out(points, codes, n_classes)
        self._plan = make_plan(points, self.nodes, n_threads, memory_budget, part_size or PART_SIZE)
        self.pairs = pairs or PairRange.every(n_classes)
        exponent = scale_exponent(points, self._plan.n_threads)
        scratch = Scratch(self._plan.part_size)
        rough = (approximation or rough_approximation(points))(exponent)
        ways = (rough, FloatProducts(exponent, np.float64), Direct(np.float64, exponent))
        ladder = tuple(CpuBlocks(each, scratch) for each in ways)
        if blocks is not None:
            chosen = blocks(exponent)
        elif device != "cpu":
            chosen = blocks_on(device, points, exponent)
        elif approximation is None and isinstance(rough, FixedPoint) and bytes_come_first(points, self.nodes):
            chosen = CpuBlocks(FixedPoint(exponent, np.int8), scratch)
        else:
            chosen = ladder[0]
        self._context = Context(points, self.nodes, chosen, ladder, 4.0**exponent)
        self._slabs = slabs(self.nodes, self._plan.part_size, () if pairs is None else pairs.breaks())
        self._near = None
        parts = parts_of_classes(self._slabs, self.nodes)
        if isinstance(rough, Direct) and chosen is ladder[0]:
            self._near = Near(self._context, rough, parts)
        if trees is None:
            search = self._near or BlockSearch(self._context, self._slabs, keep_packed=self._plan.keep_packed)
            trees = class_trees(
                self._context,
                parts,
                search,
                self._plan.n_threads,
                lambda done: report("class_trees", done, n_classes),
            )
        self.trees = list(trees)
        if self._near is not None:
            return
        self._by_core = by_core(self._context, self.trees)
        self._context = replace(self._context, nodes=self._by_core.nodes)
        self._centre = centre_of(points, self.nodes.row)

    def between_classes(self) -> Iterator[Callable[[], Cross | None]]:
        """Tasks that together hold every pair of the range once: two slabs of classes each, or a run of pairs.

        Those that share a pair return None, but for the last one to end.
        """
        from hpcore._candidates import cross_edges_between, joined
        from hpcore._products_cpu import PANEL

        if self._near is not None:
            most_points = RUN_PARTS * self._plan.part_size
            yield from self._near.cross_tasks(self.trees, self.pairs.all(), most_points, self._plan.n_threads)
            return
        tasks = [
            (left, right)
            for left, right in combinations_with_replacement(self._slabs, 2)
            if (left is not right or left.stop - left.first > 1)
            and self.pairs.holds(left.first, max(left.first + 1, right.first))
        ]
        packed = self._packed_parts(tasks)
        n_threads = 1 if self._context.blocks.searches_sets_at_once else self._plan.n_threads
        for pieces in divide(tasks, n_threads, PANEL):
            searches = [partial(cross_edges_between, self._context, *each, packed, self._by_core) for each in pieces]
            yield from Together(searches, joined).tasks() if len(searches) > 1 else searches

    def _packed_parts(self, tasks: Sequence[tuple[Slab, Slab]]) -> Callable[[slice], Packed]:
        """A way to parts, or pieces of parts, in the form of blocks: packed before, or time and again."""

        def pack(part: slice) -> Packed:
            return self._context.pack(part, self._centre)

        if not self._plan.keep_packed:
            return pack
        wanted = {slab.first: slab for task in tasks for slab in task}
        parts = sorted((part for slab in wanted.values() for part in slab.parts), key=lambda part: part.start)
        kept = list(in_threads(pack, parts, self._plan.n_threads))
        starts = [part.start for part in parts]

        def packed(part: slice) -> Packed:
            number = bisect_right(starts, part.start) - 1
            whole = parts[number]
            if part == whole:
                return kept[number]
            return kept[number].piece(part.start - whole.start, part.stop - whole.start)

        return packed

    def run(self, work: Callable[[Cross], Answer]) -> Iterator[Answer]:
        """Yield ``work(cross)`` for the candidates of every pair, task by task in order."""

        def of_task(task: Callable[[], Cross | None]) -> Answer | None:
            cross = task()
            return None if cross is None else work(cross)

        for answer in in_threads(of_task, list(self.between_classes()), self._plan.n_threads):
            if answer is not None:
                yield answer


def minimal_edges(coordinates: NDArray[np.float64], tolerance: float) -> Edges:
    """Every edge of every minimum spanning tree over distinct points (n, d), sorted by (weight, u, v).

    `tolerance` is that of `hpcore.distances.tie_tolerance`. Memory: as one class of `Forests`.
    """
    n_points = coordinates.shape[0]
    rows = np.ascontiguousarray(coordinates).view()
    rows.flags.writeable = False
    points = Points(rows, np.arange(n_points), np.arange(n_points), 0, tolerance, 0)
    forests = Forests(points, np.zeros(n_points, np.intp), 1, n_threads=1, memory_budget=None, report=lambda *_: None)
    tree = forests.trees[0]
    return Edges(tree.u, tree.v, tree.weight)


def on_device(device: str, work: Callable[[int], Answer]) -> Answer:
    """Return ``work(part_size)``, with smaller parts where the memory of a device is too small.

    Warns
    -----
    SmallerParts
        The usual ones do not fit.

    Raises
    ------
    OutOfMemory
        Not even the smallest parts fit.
    """
    usual = part_size = PART_SIZE if device == "cpu" else DEVICE_PART_SIZE
    while True:
        try:
            answer = work(part_size)
        except OutOfMemory:
            if device == "cpu" or part_size <= SMALLEST_DEVICE_PART:
                raise
            part_size //= 2
        else:
            if part_size < usual:
                message = (
                    f"the memory of the device holds parts of {part_size} points, not of {usual}: this takes longer"
                )
                warnings.warn(message, SmallerParts, stacklevel=2)
            return answer
