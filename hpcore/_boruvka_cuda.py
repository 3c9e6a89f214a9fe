"""Minimum spanning forests of full matrices on a device, and the bottlenecks that follow from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hpcore._forest_cpu import linkage_order

_INFINITY = float("inf")
_NO_EDGE = torch.iinfo(torch.int64).max


def minimum_forest(weight: torch.Tensor) -> torch.Tensor:
    """Return the edges ``low · n + high`` of a minimum forest of a symmetric matrix (n, n); +inf is no edge.

    Borůvka's algorithm: every component takes its least edge by (weight, number), an order without ties, so that
    components that choose each other choose the same edge and there is no other cycle. Nothing but one flag a round
    leaves the device; there are at most log2 n rounds.
    """
    n = weight.shape[0]
    place = torch.arange(n, device=weight.device)
    component = place
    edges = [place[:0]]
    while True:
        outside = weight.masked_fill(component == component[:, None], _INFINITY)
        nearest = outside.argmin(dim=1)  # the first of equals, whose number is the least
        length = outside.gather(1, nearest[:, None])[:, 0]
        del outside
        number = torch.minimum(place, nearest) * n + torch.maximum(place, nearest)
        least = torch.full_like(length, _INFINITY).scatter_reduce(0, component, length, "amin")
        is_least = (length == least[component]) & (length < _INFINITY)
        number = torch.where(is_least, number, _NO_EDGE)
        chosen = torch.full_like(place, _NO_EDGE).scatter_reduce(0, component, number, "amin")
        grows = chosen != _NO_EDGE
        if not bool(grows.any()):
            return torch.cat(edges)
        edges.append(torch.unique(chosen[grows]))
        chosen = torch.where(grows, chosen, 0)
        low, high = component[chosen // n], component[chosen % n]
        parent = torch.where(grows, torch.where(low == place, high, low), place)
        parent = torch.where((parent[parent] == place) & (place < parent), place, parent)
        for _ in range(n.bit_length()):  # each step halves the longest way to a root
            parent = parent[parent]
        component = parent[component]


def bottlenecks(weight: torch.Tensor, sets: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an order of the points (n,) and the longest edge on the path in the minimum tree (n, n), in that order.

    `sets` are consecutive ranges of points, each with a tree of its own; the matrix is +inf between them. Only the
    upper triangle within the sets is filled; the rest is -inf.

    In the order of single linkage the longest edge between two points is the largest gap between their places, so a
    running maximum along the rows gives all bottlenecks.
    """
    n = weight.shape[0]
    numbers = minimum_forest(weight)
    u, v = numbers // n, numbers % n
    length = weight[u, v].cpu().numpy()
    starts = np.array([start for start, _ in sets])
    u_all = np.concatenate((u.cpu().numpy(), starts[:-1]))  # bridges of infinite length put one set after another
    v_all = np.concatenate((v.cpu().numpy(), starts[1:]))
    lengths = np.concatenate((length, np.full(starts.shape[0] - 1, np.inf, np.float32)))
    ascending = np.argsort(lengths, kind="stable")
    order, gap = np.empty(n, np.intp), np.zeros(n, np.float32)
    linkage_order(u_all[ascending], v_all[ascending], lengths[ascending], order, gap)
    label = _labels(sets, n)[order]
    here = torch.arange(n, device=weight.device)
    label_here = torch.from_numpy(label).to(weight.device)
    within = (here > here[:, None]) & (label_here == label_here[:, None])
    gaps = torch.from_numpy(gap).to(weight.device).expand(n, n)
    longest = gaps.masked_fill(~within, -_INFINITY).cummax(dim=1).values
    return torch.from_numpy(order).to(weight.device), longest.masked_fill_(~within, -_INFINITY)


def _labels(sets: Sequence[tuple[int, int]], n: int) -> NDArray[np.intp]:
    label = np.empty(n, np.intp)
    for number, (start, stop) in enumerate(sets):
        label[start:stop] = number
    return label
