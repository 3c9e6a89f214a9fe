"""Candidates where there are few features: points whose neighbours lie together, and boxes that exclude whole tiles.

The proofs are those of `hpcore._candidates`, but no block is filled: a tile of distances is computed where it may
matter, and used up in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore import _mst_cpu, _panels_cpu
from hpcore._approximation import Direct
from hpcore._candidates import Cross, between_trees, candidates_within, contract, joined, tree_of
from hpcore._class_trees import Lengths
from hpcore._context import Context, Tree, centre_of
from hpcore._mst_cpu import Ends
from hpcore._near_cpu import near_candidates
from hpcore._panels_cpu import Panels
from hpcore._plan import pieces_of_tasks
from hpcore._prim_near_cpu import panel_tree_candidates, run_candidates
from hpcore._simd import LANES
from hpcore.threads import Together

RUN_PANELS = 16
"""Panels that Prim's algorithm takes at once, at most: it computes every distance twice, and step by step."""
_PAIRS_OF_A_TASK = 4  # of sets of one class


@dataclass(frozen=True)
class NearSet:
    """The nodes of one part of a class in panels, as in `hpcore.Panels`; ``node (n,)`` in their order."""

    part: slice
    node: NDArray[np.int32]
    data: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]


class Near:
    """The points of one layer, class by class: ``parts[c]`` are the nodes of class c, a set each."""

    def __init__(self, context: Context, direct: Direct, parts: Sequence[Sequence[slice]]) -> None:
        """`direct` makes the bounds."""
        self._context, self._direct, self._parts = context, direct, parts
        self._widening = direct.widening(context.points.rows.shape[1])
        self._sets: dict[int, NearSet] = {}

    def tree_tasks(self) -> list[Callable[[], list[Tree]]]:
        """Together they find the trees of all parts in order."""
        return [partial(self._trees_of, part) for parts in self._parts for part in parts]

    def between_tasks(self, label: int, trees: Sequence[Tree]) -> list[Callable[[], Lengths]]:
        """Together they find candidates between the parts of a class, given the trees of these."""
        sets = self._sets_of(label)
        panels = self._join(sets, [tree.core for tree in trees], np.arange(len(sets) + 1))
        pairs = np.array(list(combinations(range(len(sets)), 2)))
        runs = (pairs[first : first + _PAIRS_OF_A_TASK] for first in range(0, len(pairs), _PAIRS_OF_A_TASK))
        return [partial(self._between, panels, trees, run) for run in runs]

    def _between(self, panels: Panels, trees: Sequence[Tree], pairs: NDArray[np.intp]) -> Lengths:
        u, v, _, dense = self._candidates(panels, pairs)
        found = [(u, v), *(between_trees(self._context, (trees[i], trees[j])) for _, i, j in dense)]
        u, v = (np.concatenate(each) for each in zip(*found, strict=True))
        return u, v, self._context.lengths(u, v)

    def cross_tasks(
        self, trees: Sequence[Tree], pairs: NDArray[np.intp], most_points: int, n_threads: int
    ) -> list[Callable[[], Cross | None]]:
        """Together they find the candidates of every pair; those that share one pair as `Together`."""
        panels = self._panels(trees)
        sizes = np.array([parts[-1].stop - parts[0].start for parts in self._parts])
        wanted = pieces_of_tasks(sizes[pairs].prod(axis=1), n_threads)
        tasks: list[Callable[[], Cross | None]] = []
        for run in runs_of_pairs(pairs, sizes, most_points, n_threads):
            own = pairs[run]
            groups = self._pieces(panels, own[0], wanted[run.start]) if len(own) == 1 else []
            if len(groups) <= 1:
                tasks.append(partial(self._cross_edges, panels, trees, own, own))
                continue
            within = np.array([[0, 2]])
            pieces = [panels._replace(group=group) for group in groups]
            searches = [partial(self._cross_edges, each, trees, own, within) for each in pieces]
            tasks += Together(searches, joined).tasks()
        return tasks

    def _pieces(self, panels: Panels, pair: NDArray[np.intp], number: int) -> list[NDArray[np.intp]]:
        """Some sets of one class and all sets of another, as the first and the third of three groups."""
        (begin, end), others = (panels.group[label : label + 2].tolist() for label in pair)
        number = min(number, end - begin)
        cuts = [begin + (end - begin) * piece // number for piece in range(number + 1)]
        return [np.array([*cut, *others], np.intp) for cut in pairwise(cuts)]

    def _panels(self, trees: Sequence[Tree]) -> Panels:
        """All classes, a group each, given their trees."""
        sets = [each for label in range(len(self._parts)) for each in self._sets_of(label)]
        return self._join(sets, [tree.core for tree in trees], np.cumsum([0, *map(len, self._parts)]))

    def _cross_edges(
        self, panels: Panels, trees: Sequence[Tree], pairs: NDArray[np.intp], groups: NDArray[np.intp]
    ) -> Cross:
        """Candidates between the two classes of each pair, or between two `groups` of panels of these classes."""
        u, v, start, dense = self._candidates(panels, groups)
        if dense.shape[0] == 0:
            return Cross(pairs, start, u, v, self._context.lengths(u, v))
        parts = [part for each in self._parts for part in each]
        found = [(u, v, np.repeat(np.arange(pairs.shape[0]), np.diff(start)))]
        for p, s, t in dense:
            left, right = (
                tree_of(self._context, parts[each], trees[c]) for each, c in ((s, pairs[p, 0]), (t, pairs[p, 1]))
            )
            u, v = between_trees(self._context, (left, right))
            found.append((u, v, np.full(u.shape[0], p)))
        u, v, pair = (np.concatenate(each) for each in zip(*found, strict=True))
        order = np.argsort(pair, kind="stable")
        u, v = u[order], v[order]
        start = np.searchsorted(pair[order], np.arange(pairs.shape[0] + 1)).astype(np.intp)
        return Cross(pairs, start, u, v, self._context.lengths(u, v))

    def _sets_of(self, label: int) -> list[NearSet]:
        return [self._set_of(part) for part in self._parts[label]]

    def _set_of(self, part: slice) -> NearSet:
        """The set of a part, which is made once."""
        own = self._sets.get(part.start)
        if own is None:
            own = self._sets[part.start] = self._near_set(part)
        return own

    def _near_set(self, part: slice) -> NearSet:
        """Bring the nodes of a part into panels."""
        points = self._direct.scaled(self._context.points.rows, self._context.nodes.row[part])
        n_points, n_features = points.shape
        n_panels = -(-n_points // LANES)
        order = np.empty(n_points, np.int32)
        data = np.empty((n_panels, n_features, LANES), points.dtype)
        low, high = (np.empty((n_features, n_panels), points.dtype) for _ in range(2))
        _panels_cpu.near_order(points, order)
        _panels_cpu.fill_panels(points, order, data, low, high)
        return NearSet(part, order + np.int32(part.start), data, low, high)

    def _trees_of(self, part: slice) -> list[Tree]:
        own = self._set_of(part)
        ends = self._within_runs(own) or self._within(own) or self._dearer(own.part)
        u, v = (each.astype(np.intp) for each in ends)
        return [contract(self._context, own.part, u, v, self._context.lengths(u, v))]

    def _within_runs(self, own: NearSet) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
        """Candidates within runs of neighbouring panels, then between each two of them; None where there are too many.

        A point of Prim's algorithm looks at its run alone, and tiles between runs have few edges that matter.
        """
        n_panels, n_points = own.data.shape[0], own.node.shape[0]
        n_runs = -(-n_panels // RUN_PANELS)
        if n_runs == 1:
            return None
        cuts = np.arange(n_runs + 1) * n_panels // n_runs
        u, v = np.empty(4 * n_points, np.int32), np.empty(4 * n_points, np.int32)
        core = np.empty(n_panels * LANES)
        n_found = run_candidates(own.data, own.low, own.high, cuts, n_points, *self._widening, u, v, core)
        if n_found < 0:
            return None
        upper = _mst_cpu.rounded_up(core, self._direct.dtype).reshape(n_panels, LANES)
        node = _in_panels(own.node, n_panels)
        panels = Panels(own.data, own.low, own.high, upper, node, cuts, np.arange(n_runs + 1))
        between_u, between_v, _, dense = self._candidates(panels, np.array(list(combinations(range(n_runs), 2))))
        if dense.shape[0] > 0:
            return None
        return np.concatenate((own.node[u[:n_found]], between_u)), np.concatenate((own.node[v[:n_found]], between_v))

    def _within(self, own: NearSet) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
        """Candidates by Prim's algorithm over all panels; None where there are too many."""
        n_points = own.node.shape[0]
        most = _mst_cpu.CANDIDATES_PER_POINT * n_points
        ends = _mst_cpu.all_or_none(
            lambda u, v: panel_tree_candidates(own.data, own.low, own.high, 0, n_points, *self._widening, u, v),
            4 * n_points,
            most,
        )
        return None if ends is None else (own.node[ends[0]], own.node[ends[1]])

    def _dearer(self, part: slice) -> Ends:
        centre = centre_of(self._context.points, self._context.nodes.row[part])
        return candidates_within(self._context, part, centre)

    def _join(self, sets: Sequence[NearSet], cores: Sequence[NDArray[np.float64]], groups: NDArray[np.intp]) -> Panels:
        """All panels in a row; `cores` belong to the nodes of the sets, which follow each other."""
        sizes = [each.data.shape[0] for each in sets]
        first = np.concatenate(([0], np.cumsum(sizes))).astype(np.intp)
        node = np.concatenate([_in_panels(each.node, n_panels) for each, n_panels in zip(sets, sizes, strict=True)])
        n_points = [each.node.shape[0] for each in sets]
        lasts = np.repeat([each.node[-1] for each in sets], np.multiply(sizes, LANES) - n_points)
        filled = node.copy()
        filled[node < 0] = lasts  # a panel repeats its last point
        return Panels(
            np.concatenate([each.data for each in sets]),
            np.concatenate([each.low for each in sets], axis=1),
            np.concatenate([each.high for each in sets], axis=1),
            self._context.upper(np.concatenate(cores))[filled - sets[0].part.start],
            node,
            first,
            groups.astype(np.intp),
        )

    def _candidates(
        self, panels: Panels, pairs: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Edges of every pair of groups, where each begins, and (pair, set, set) where there are too many."""
        n_sets = np.diff(panels.group)[pairs]
        n_panels = np.diff(panels.first[panels.group])[pairs]
        capacity = 2 * LANES * int(n_panels.sum())
        u, v = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
        start = np.zeros(pairs.shape[0] + 1, np.intp)
        dense = np.empty((int(n_sets.prod(axis=1).sum()), 3), np.intp)
        pair, n_dense = 0, 0
        while True:
            pair, n_dense = near_candidates(
                panels, pairs, *self._widening, _mst_cpu.CANDIDATES_PER_POINT, u, v, start, dense, pair, n_dense
            )
            if pair == pairs.shape[0]:
                break
            u, v = (np.concatenate((each, np.empty_like(each))) for each in (u, v))
        return u[: start[-1]].astype(np.intp), v[: start[-1]].astype(np.intp), start, dense[:n_dense]


def _in_panels(node: NDArray[np.int32], n_panels: int) -> NDArray[np.int32]:
    """Numbers of the points in panels, -1 for repeated ones."""
    places = np.full((n_panels, LANES), -1, np.int32)
    places.reshape(-1)[: node.shape[0]] = node
    return places


def runs_of_pairs(pairs: NDArray[np.intp], sizes: NDArray[np.intp], most_points: int, n_threads: int) -> list[slice]:
    """Cut pairs of classes into runs of at most `most_points` points, where one pair has no more.

    Each is half a thread's share of the work that remains, or a sixteenth of its share of all: so the threads end at
    much the same time, and few runs are small.
    """
    points, work = (np.cumsum(each) for each in (sizes[pairs].sum(axis=1), sizes[pairs].prod(axis=1)))
    runs: list[slice] = []
    first = 0
    while first < pairs.shape[0]:
        done, seen = (int(work[first - 1]), int(points[first - 1])) if first else (0, 0)
        share = max((work[-1] - done) / (2 * n_threads), work[-1] / (16 * n_threads))
        last = min(np.searchsorted(work, done + share, "right"), np.searchsorted(points, seen + most_points, "right"))
        runs.append(slice(first, max(first + 1, int(last))))
        first = runs[-1].stop
    return runs
