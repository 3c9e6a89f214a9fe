"""Trees of all classes, shared among threads: trees of parts, then the edges between every two parts of a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations, pairwise
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpcore._approximation import Packed
from hpcore._candidates import contract, edges_between_parts, trees_of_block, trees_of_packed
from hpcore._context import Context, Tree, centre_of
from hpcore._layout import Slab
from hpcore.threads import in_threads

Lengths = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]
Parts = Sequence[Sequence[slice]]
MOST_EDGES_PER_NODE = 6
"""So many edges of a class are held while its tree is made, but for those of the last search."""


class Search(Protocol):
    """A way to the edges within and between parts of classes."""

    def tree_tasks(self) -> list[Callable[[], list[Tree]]]:
        """Together they find the trees of all parts in order."""
        ...

    def between_tasks(self, label: int, trees: Sequence[Tree]) -> list[Callable[[], Lengths]]:
        """Together they find candidates between the parts of a class, given the trees of these."""
        ...


class BlockSearch:
    """By blocks of a context."""

    def __init__(self, context: Context, of_slabs: Sequence[Slab], *, keep_packed: bool) -> None:
        """`keep_packed`: whether parts may stay in memory in the form of a block."""
        self._context, self._slabs, self._keep_packed = context, of_slabs, keep_packed
        self._packed: dict[int, Packed] = {}

    def tree_tasks(self) -> list[Callable[[], list[Tree]]]:
        """One for every part, or for every slab where blocks are searched for several sets at once."""
        tasks: list[Callable[[], list[Tree]]] = []
        for slab in self._slabs:
            if len(slab.parts) > 1:
                centre = self._centre_of(slab.parts)
                tasks.extend(partial(self._tree_of_part, part, centre) for part in slab.parts)
                continue
            bounds = self._context.nodes.start[slab.first : slab.stop + 1].tolist()
            classes = [slice(a, b) for a, b in pairwise(bounds)]
            together = [classes] if self._context.blocks.searches_sets_at_once else [[each] for each in classes]
            tasks.extend(partial(trees_of_block, self._context, each) for each in together)
        return tasks

    def between_tasks(self, _label: int, trees: Sequence[Tree]) -> list[Callable[[], Lengths]]:
        """One for every two parts."""
        centre = self._centre_of([tree.nodes for tree in trees])
        return [partial(self._between, pair, centre) for pair in combinations(trees, 2)]

    def _centre_of(self, parts: Sequence[slice]) -> NDArray[np.float64]:
        return centre_of(self._context.points, self._context.nodes.row[parts[0].start : parts[-1].stop])

    def _tree_of_part(self, part: slice, centre: NDArray[np.float64]) -> list[Tree]:
        return trees_of_packed(self._context, [part], self._pack(part, centre), centre)

    def _between(self, trees: tuple[Tree, Tree], centre: NDArray[np.float64]) -> Lengths:
        left, right = (self._pack(tree.nodes, centre) for tree in trees)
        return edges_between_parts(self._context, trees, (left, right))

    def _pack(self, part: slice, centre: NDArray[np.float64]) -> Packed:
        packed = self._packed.get(part.start)
        if packed is None:
            packed = self._context.pack(part, centre)
            if self._keep_packed:
                self._packed[part.start] = packed
        return packed


def class_trees(
    context: Context, parts: Parts, search: Search, n_threads: int, report: Callable[[int], None]
) -> list[Tree]:
    """Trees of all classes, whose nodes are in ``parts[c]``; ``report(n)`` is called when n of them are complete."""
    n_parts = [len(each) for each in parts]
    n_whole = np.cumsum(np.repeat([number == 1 for number in n_parts], n_parts))  # classes of one part, part by part
    of_parts: list[Tree] = []
    report(0)
    for some in in_threads(lambda task: task(), search.tree_tasks(), n_threads):
        of_parts.extend(some)
        report(int(n_whole[len(of_parts) - 1]))
    cuts = np.cumsum([0, *n_parts]).tolist()
    trees = [of_parts[a:b] for a, b in pairwise(cuts)]
    growing = {label: _GrowingTree(context, own) for label, own in enumerate(trees) if len(own) > 1}
    tasks = [
        (label, task)
        for label, tree in growing.items()
        for task in tree.tasks(search.between_tasks(label, trees[label]))
    ]
    n_done = n_parts.count(1)
    for (label, _), tree in zip(tasks, in_threads(lambda task: task[1](), tasks, n_threads), strict=True):
        if tree is not None:
            trees[label] = [tree]
            n_done += 1
            report(n_done)
    return [tree for (tree,) in trees]


class _GrowingTree:
    """The tree of a class over all edges that have been found, from the trees of its parts on.

    Parts of a few points find nearly all edges between them; so what is held is contracted whenever it is much. An edge
    that is in no tree of some edges is in none of more.
    """

    def __init__(self, context: Context, trees: Sequence[Tree]) -> None:
        """`trees` are those of the parts in order."""
        self._context = context
        self._nodes = slice(trees[0].nodes.start, trees[-1].nodes.stop)
        self._edges: list[Lengths] = [(tree.u, tree.v, tree.weight) for tree in trees]
        self._n_waiting = 0
        self._lock = Lock()

    def tasks(self, between: Sequence[Callable[[], Lengths]]) -> list[Callable[[], Tree | None]]:
        """To be run once each, in any order, in any thread; the last one to end returns the tree."""
        self._n_waiting = len(between)
        return [partial(self._add, search) for search in between]

    def _add(self, search: Callable[[], Lengths]) -> Tree | None:
        found = search()
        with self._lock:
            self._edges.append(found)
            self._n_waiting -= 1
            n_edges = sum(edges[0].shape[0] for edges in self._edges)
            if self._n_waiting > 0 and n_edges <= MOST_EDGES_PER_NODE * (self._nodes.stop - self._nodes.start):
                return None
            u, v, weight = (np.concatenate(each) for each in zip(*self._edges, strict=True))
            self._edges = []
            tree = contract(self._context, self._nodes, u, v, weight)
            if self._n_waiting > 0:
                self._edges = [(tree.u, tree.v, tree.weight)]
                return None
            return tree
