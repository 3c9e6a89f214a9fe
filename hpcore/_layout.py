"""How points are laid out for the kernels: nodes sorted by class, parts that fit a block, slabs of whole classes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore.distances import Points


@dataclass(frozen=True)
class Nodes:
    """Distinct points of each class, class after class.

    ``row (M,)`` is a row of the matrix, ``point (M,)`` the point, ``copies (M,)`` how many rows of the class coincide
    there; class c has the nodes ``start[c]:start[c + 1]``.
    """

    row: NDArray[np.intp]
    point: NDArray[np.intp]
    copies: NDArray[np.int64]
    start: NDArray[np.intp]


@dataclass(frozen=True)
class Slab:
    """Classes ``first:stop`` and their nodes in parts: several whole classes in one part, or one class in several."""

    first: int
    stop: int
    parts: tuple[slice, ...]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return int(self.parts[-1].stop - self.parts[0].start)

    def pieces(self, number: int, unit: int) -> list[Slab]:
        """About so many slabs of some nodes each, if it holds one class; they begin at multiples of `unit` in a part.

        A piece has several whole parts, or some nodes of one.
        """
        if number == 1 or self.stop - self.first > 1:
            return [self]
        n_parts = len(self.parts)
        if number <= n_parts:
            cuts = [n_parts * piece // number for piece in range(number + 1)]
            return [replace(self, parts=self.parts[a:b]) for a, b in pairwise(cuts)]
        per_part = -(-number // n_parts)
        pieces: list[Slab] = []
        for part in self.parts:
            size = -(-(part.stop - part.start) // (per_part * unit)) * unit
            begins = range(part.start, part.stop, size)
            pieces += [replace(self, parts=(slice(begin, min(part.stop, begin + size)),)) for begin in begins]
        return pieces


def lay_out(points: Points, codes: NDArray[np.intp], n_classes: int) -> Nodes:
    """Collapse the rows of each class (``codes (N,)``) that coincide."""
    from hpcore._sort_cpu import order_by_bits

    n_points = points.representative.shape[0]
    key = codes * n_points + points.index
    order = np.arange(key.shape[0])
    order_by_bits(key.view(np.uint64), order)
    key = key[order]
    first = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    copies = np.diff(np.append(first, key.shape[0]))
    label, point = np.divmod(key[first], n_points)
    start = np.searchsorted(label, np.arange(n_classes + 1)).astype(np.intp)
    return Nodes(points.representative[point], point.astype(np.intp), copies.astype(np.int64), start)


def slabs(nodes: Nodes, part_size: int, breaks: Iterable[int] = ()) -> list[Slab]:
    """Group consecutive small classes into parts of at most `part_size` nodes; divide larger classes evenly.

    A class of more than a quarter of that stays alone: a group pays for the distances within its classes as well. No
    slab goes across a class of `breaks`: one begins there.
    """
    result: list[Slab] = []
    n_classes = nodes.start.shape[0] - 1
    alone = np.flatnonzero(4 * np.diff(nodes.start) > part_size)
    borders = sorted({*breaks, *alone.tolist(), *(alone + 1).tolist(), n_classes})
    first = 0
    while first < n_classes:
        begin = int(nodes.start[first])
        stop = max(first + 1, int(np.searchsorted(nodes.start, begin + part_size, side="right")) - 1)
        stop = min(stop, borders[bisect_right(borders, first)])
        end = int(nodes.start[stop])
        n_parts = -(-(end - begin) // part_size)
        cuts = [begin + (end - begin) * part // n_parts for part in range(n_parts + 1)]
        parts = tuple(slice(a, b) for a, b in pairwise(cuts))
        result.append(Slab(first, stop, parts))
        first = stop
    return result


def parts_of_classes(of_slabs: Sequence[Slab], nodes: Nodes) -> list[tuple[slice, ...]]:
    """Nodes of every class, in the parts of its slab where it has several."""
    parts: list[tuple[slice, ...]] = []
    for slab in of_slabs:
        if len(slab.parts) > 1:
            parts.append(slab.parts)
        else:
            parts += [(slice(a, b),) for a, b in pairwise(nodes.start[slab.first : slab.stop + 1].tolist())]
    return parts


@dataclass(frozen=True)
class PairRange:
    """Consecutive pairs of K classes, numbers ``first:stop`` of (0, 1), (0, 2), …, (1, 2), …."""

    first: int
    stop: int
    n_classes: int

    @classmethod
    def every(cls, n_classes: int) -> PairRange:
        """All pairs."""
        return cls(0, n_classes * (n_classes - 1) // 2, n_classes)

    def __len__(self) -> int:
        return self.stop - self.first

    def all(self) -> NDArray[np.intp]:
        """The pairs, (n, 2)."""
        return np.stack(np.triu_indices(self.n_classes, 1), axis=1)[self.first : self.stop]

    def place(self, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where pairs (n, 2) stand in the range."""
        return np.asarray(self._number(*pairs.T) - self.first)

    def holds(self, a: int, b: int) -> bool:
        """Whether a pair is in the range."""
        return bool(self.first <= self._number(a, b) < self.stop)

    def _number(self, a: Any, b: Any) -> Any:
        return a * (2 * self.n_classes - a - 1) // 2 + b - a - 1

    def breaks(self) -> tuple[int, ...]:
        """Classes at which slabs must begin for the range to hold all pairs of two slabs or none."""
        (a, b), (c, d) = self._pair(self.first), self._pair(self.stop - 1)
        return (a, a + 1, b, c, c + 1, d + 1)

    def _pair(self, number: int) -> tuple[int, int]:
        first = np.arange(self.n_classes - 1)
        starts = first * (2 * self.n_classes - first - 1) // 2
        a = int(np.searchsorted(starts, number, side="right")) - 1
        return a, number - int(starts[a]) + a + 1
