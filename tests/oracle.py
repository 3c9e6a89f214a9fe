"""Slow, obvious references in plain numpy. Nothing here may import the code under test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

Edge = tuple[int, int]


def squared_distances(points: ArrayLike, metric: str = "euclidean") -> NDArray[np.float64]:
    """All squared distances by direct differences in float64 (cosine: 1 - cos, with the policy for zero rows)."""
    rows = np.asarray(points, np.float64)
    rows = rows.reshape(rows.shape[0], -1)
    n = rows.shape[0]
    result = np.zeros((n, n))
    if metric == "cosine":
        norms = np.sqrt((rows**2).sum(axis=1))
        for i in range(n):
            for j in range(n):
                if norms[i] == 0.0 or norms[j] == 0.0:
                    result[i, j] = 0.0 if norms[i] == norms[j] else 1.0
                else:
                    difference = rows[i] / norms[i] - rows[j] / norms[j]
                    result[i, j] = (difference**2).sum() / 2.0
        return result
    for i in range(n):
        result[i] = ((rows - rows[i]) ** 2).sum(axis=1)
    return result


def prim(weights: NDArray[np.float64]) -> list[Edge]:
    """Edges of one minimum spanning tree of a complete graph; zero is a weight like any other."""
    n = weights.shape[0]
    distance, source = weights[0].copy(), np.zeros(n, int)
    outside = np.ones(n, bool)
    outside[0] = False
    edges = []
    for _ in range(n - 1):
        candidates = np.where(outside, distance, np.inf)
        v = int(candidates.argmin())
        edges.append((int(source[v]), v))
        outside[v] = False
        closer = weights[v] < distance
        distance[closer], source[closer] = weights[v][closer], v
    return edges


def cross_count(edges: Sequence[Edge], labels: ArrayLike) -> int:
    """Edges whose ends have different labels."""
    kind = np.asarray(labels)
    return sum(1 for i, j in edges if kind[i] != kind[j])


def cross_edges(points: ArrayLike, labels: ArrayLike, metric: str = "euclidean") -> int:
    """R of the minimum spanning tree that Prim finds; unique where no distances are tied."""
    return cross_count(prim(squared_distances(points, metric)), labels)


def cross_edges_range(points: ArrayLike, labels: ArrayLike) -> tuple[int, int]:
    """Least and greatest R over all minimum spanning trees: equal lengths are ordered by whether they cross.

    For points whose distances are exact in float64, such as small integers.
    """
    kind = np.asarray(labels)
    weights = squared_distances(points)
    crosses = (kind[:, None] != kind[None, :]).astype(float)
    rank = np.unique(weights, return_inverse=True)[1].reshape(weights.shape) * 2.0
    least, most = (cross_count(prim(rank + sign * crosses), kind) for sign in (1.0, -1.0))
    return least, most


def pairwise_cross_edges(points: ArrayLike, labels: ArrayLike, metric: str = "euclidean") -> NDArray[np.int64]:
    """R of every class pair, in the order (0, 1), (0, 2), …, (1, 2), …."""
    rows, kind = np.asarray(points), np.asarray(labels)
    counts = []
    for a, b in itertools.combinations(np.unique(kind), 2):
        chosen = (kind == a) | (kind == b)
        counts.append(cross_edges(rows[chosen], kind[chosen], metric))
    return np.array(counts, np.int64)


def spanning_trees(n: int) -> Iterator[list[Edge]]:
    """Every labelled tree on n ≥ 2 nodes, from its Prüfer sequence; there are n^(n-2)."""
    for sequence in itertools.product(range(n), repeat=n - 2):
        degree = [1 + sequence.count(node) for node in range(n)]
        edges = []
        for node in sequence:
            leaf = degree.index(1)
            edges.append((leaf, node))
            degree[leaf] -= 1
            degree[node] -= 1
        last = [node for node in range(n) if degree[node] == 1]
        edges.append((last[0], last[1]))
        yield edges


def minimum_trees(points: ArrayLike) -> list[list[Edge]]:
    """Every minimum spanning tree over points with integer coordinates, by enumeration in exact arithmetic.

    A tree is minimum for Euclidean distances exactly if its sorted squared lengths are the lexicographically least.
    """
    rows = np.asarray(points)
    rows = rows.reshape(rows.shape[0], -1)
    return least_trees([[sum((int(a) - int(b)) ** 2 for a, b in zip(x, y, strict=True)) for y in rows] for x in rows])


def least_trees(lengths: Sequence[Sequence[int]]) -> list[list[Edge]]:
    """Every spanning tree whose sorted lengths are the lexicographically least."""
    of_lengths: dict[tuple[int, ...], list[list[Edge]]] = {}
    for edges in spanning_trees(len(lengths)):
        of_lengths.setdefault(tuple(sorted(lengths[i][j] for i, j in edges)), []).append(edges)
    return of_lengths[min(of_lengths)]


def levels(lengths: NDArray[np.float64], tolerance: float) -> list[list[int]]:
    """Ranks of lengths, tied within a tolerance of the least length by which a tree still grows; loops come last."""
    n = lengths.shape[0]
    ascending = sorted((float(lengths[i, j]), i, j) for i, j in itertools.combinations(range(n), 2))
    component, rank = list(range(n)), [[n] * n for _ in range(n)]
    for level in range(n):
        growing = [(length, i, j) for length, i, j in ascending if component[i] != component[j]]
        for length, i, j in growing:
            if length <= growing[0][0] * (1.0 + tolerance):
                rank[i][j] = rank[j][i] = level
                old, new = component[i], component[j]
                component = [new if each == old else each for each in component]
    return rank


def edge_uses(ranks: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Share of the minimum trees that hold each edge i < j, (n, n): resistances, level by level (Kirchhoff)."""
    n = len(ranks)
    component, uses = np.arange(n), np.zeros((n, n))
    for level in range(n):
        edges = [(i, j) for i, j in itertools.combinations(range(n), 2) if ranks[i][j] == level]
        laplacian = np.zeros((n, n))
        for i, j in edges:
            a, b = component[i], component[j]
            laplacian[[a, b], [a, b]] += 1.0
            laplacian[[a, b], [b, a]] -= 1.0
        inverse = np.linalg.pinv(laplacian, rcond=1e-9, hermitian=True)
        for i, j in edges:
            a, b = component[i], component[j]
            uses[i, j] = inverse[a, a] + inverse[b, b] - 2.0 * inverse[a, b]
        for i, j in edges:
            component[component == component[i]] = component[j]
    return uses


def tree_range_and_mean(points: ArrayLike, labels: ArrayLike) -> tuple[int, int, Fraction]:
    """Least, greatest and mean R over all minimum spanning trees."""
    return range_and_mean(minimum_trees(points), labels)


def range_and_mean(trees: Sequence[Sequence[Edge]], labels: ArrayLike) -> tuple[int, int, Fraction]:
    """Least, greatest and mean R over some trees."""
    counts = [cross_count(edges, labels) for edges in trees]
    return min(counts), max(counts), Fraction(sum(counts), len(counts))


def edge_probabilities(points: ArrayLike) -> dict[Edge, Fraction]:
    """Share of the minimum spanning trees that hold each edge."""
    trees = minimum_trees(points)
    uses: dict[Edge, int] = {}
    for edges in trees:
        for i, j in edges:
            uses[min(i, j), max(i, j)] = uses.get((min(i, j), max(i, j)), 0) + 1
    return {edge: Fraction(count, len(trees)) for edge, count in uses.items()}


def null_moments(weights: dict[Edge, Fraction], n_points: int, n_first: int) -> tuple[Fraction, Fraction]:
    """Mean and variance of Σ w_e [e crosses] over all choices of the first class, by enumeration."""
    values = []
    for first in itertools.combinations(range(n_points), n_first):
        inside = set(first)
        values.append(sum((w for (i, j), w in weights.items() if (i in inside) != (j in inside)), Fraction(0)))
    mean = sum(values, Fraction(0)) / len(values)
    return mean, sum(((value - mean) ** 2 for value in values), Fraction(0)) / len(values)


def null_distribution(edges: Sequence[Edge], n_points: int, n_first: int) -> dict[int, int]:
    """How many of the C(N, m) labellings of a fixed tree give each R."""
    counts: dict[int, int] = {}
    for first in itertools.combinations(range(n_points), n_first):
        inside = set(first)
        value = sum(1 for i, j in edges if (i in inside) != (j in inside))
        counts[value] = counts.get(value, 0) + 1
    return counts


def normal_cdf(value: float) -> float:
    """Standard normal distribution function."""
    return 0.5 * math.erfc(-value / math.sqrt(2.0))
