"""Kernels for effective resistances of sparse graphs: nodes of few neighbours are eliminated, and come back in turn.

A node x with conductances c_i to its neighbours, s in all, gives way to conductances ``c_i c_j / s`` between them (star
and mesh): no resistance between the other nodes changes. With ``p = c / s`` and the resistances R among its neighbours

    R(x, i) = 1/s + Σ_j p_j R(i, j) - Σ_j<k p_j p_k R(j, k).

All neighbours are joined once x has gone, so every resistance in that sum is one between joined nodes as well.

Matrices hold conductances below the diagonal and resistances above it; 0 is no edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import kernel

_LARGEST_SHARE = 4
"""A node whose neighbours are more than one in so many of those left is dearer to eliminate than in a dense inverse."""


@kernel()
def _neighbours(matrix: NDArray[np.float64], node: int, place: NDArray[np.intp], found: NDArray[np.intp]) -> int:
    """List the neighbours of a node that are eliminated after it, or never; return their number."""
    n_found = 0
    for other in range(matrix.shape[0]):
        if place[other] > place[node] and matrix[max(node, other), min(node, other)] > 0.0:
            found[n_found] = other
            n_found += 1
    return n_found


@kernel()
def eliminate(matrix: NDArray[np.float64], order: NDArray[np.intp], place: NDArray[np.intp]) -> int:
    """Eliminate the node of fewest neighbours again and again; return how many went.

    ``order`` lists them; ``place (n)`` is the place of a node in that list, or n for those that are left.
    """
    n = matrix.shape[0]
    place[:] = n
    found, degree = np.empty(n, np.intp), np.zeros(n, np.intp)
    for i in range(n):
        for j in range(i):
            if matrix[i, j] > 0.0:
                degree[i] += 1
                degree[j] += 1
    step = 0
    while step < n - 1:
        node = -1
        for other in range(n):
            if place[other] == n and (node < 0 or degree[other] < degree[node]):
                node = other
        if degree[node] * _LARGEST_SHARE > n - step:
            break
        order[step], place[node] = node, step
        n_found = _neighbours(matrix, node, place, found)
        total = 0.0
        for i in found[:n_found]:
            degree[i] -= 1
            total += matrix[max(node, i), min(node, i)]
        for a in range(n_found):
            i = found[a]
            share = matrix[max(node, i), min(node, i)] / total
            for j in found[:a]:  # they ascend: i is the larger
                if matrix[i, j] == 0.0:
                    degree[i] += 1
                    degree[j] += 1
                matrix[i, j] += share * matrix[max(node, j), min(node, j)]
        step += 1
    return step


@kernel()
def restore(matrix: NDArray[np.float64], order: NDArray[np.intp], place: NDArray[np.intp]) -> None:
    """Fill in the resistances of the nodes of `order`, last first, given those between the nodes that are left."""
    found, share, mean = np.empty(matrix.shape[0], np.intp), np.empty(matrix.shape[0]), np.empty(matrix.shape[0])
    for node in order[::-1]:
        n_found = _neighbours(matrix, node, place, found)
        total = 0.0
        for a in range(n_found):
            share[a] = matrix[max(node, found[a]), min(node, found[a])]
            total += share[a]
        mean[:n_found] = 0.0
        among = 0.0
        for a in range(n_found):
            share[a] /= total
            for b in range(a):
                resistance = matrix[found[b], found[a]]
                mean[a] += share[b] * resistance
                mean[b] += share[a] * resistance
                among += share[a] * share[b] * resistance
        for a in range(n_found):
            matrix[min(node, found[a]), max(node, found[a])] = 1.0 / total + mean[a] - among
