"""Exact null distributions of sums of integers, and the way from float statistics to those integers.

With equal class sizes ``HP = 1 - R/n``, so a set of HP values lives on a lattice of spacing 1/n and a permutation
distribution of their sum is a count of integer subsets. All terms of the recursions are positive, so double precision
keeps every cell to a relative error near 1e-14, however far out in the tail (Streitberg and Roehmel 1986; Pagano and
Tritchler 1983).
"""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hpcore._result import Alternative

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_STATES = 2**25
"""Largest table of counts, in float64 cells (256 MiB)."""

MAX_ADDITIONS = 5 * 10**9
"""Upper bound of the additions of one recursion: below a second of one core."""

_LARGEST_COUNT = 2.0**1020
"""Counts beyond this would overflow float64."""

_ROUNDING_ULPS = 8
"""An HP value and a difference of two of them carry a few roundings; this many last places are forgiven."""


def integer_lattice(values: Floats, *, anchor: float, magnitude: float) -> Integers | None:
    """Integers proportional to ``values - anchor``, or None where there is no common lattice.

    Parameters
    ----------
    values
        Any shape; on the lattice ``anchor + step * integer`` up to a few roundings, or not.
    anchor
        A point of the lattice: the minimum of `values` where only shifts matter, 0 where signs do.
    magnitude
        Largest absolute number that went into `values`: it sets the size of the roundings.

    Returns
    -------
    ndarray of int64, same shape
        With greatest common divisor 1 (or all zero).

    Notes
    -----
    Scaled by their range the values become fractions k/K with one denominator K, the range in steps. K is the least
    common multiple of the denominators of the best rational approximations. Denominators are only trusted up to
    ``sqrt(0.1 / rounding)``: below it, two different fractions are at least ten roundings apart.
    """
    shifted = values - anchor
    scale = float(np.abs(shifted).max(initial=0.0))
    if scale <= _ROUNDING_ULPS * np.finfo(np.float64).eps * magnitude:
        return np.zeros(values.shape, dtype=np.int64)
    tolerance = _ROUNDING_ULPS * np.finfo(np.float64).eps * (magnitude / scale)
    largest = math.isqrt(int(0.1 / tolerance))
    fractions = shifted / scale
    distinct = np.unique(fractions)
    denominator = 1
    while denominator <= largest:
        scaled = distinct * denominator
        off = np.abs(scaled - np.rint(scaled)) > tolerance * denominator
        if not off.any():
            return np.rint(fractions * denominator).astype(np.int64)
        approximation = Fraction(float(distinct[np.argmax(off)])).limit_denominator(largest)
        multiple = math.lcm(denominator, approximation.denominator)
        if multiple == denominator:  # its best fraction was already allowed and missed it: no lattice
            return None
        denominator = multiple
    return None


def two_sample_refusal(values: Integers, size: int) -> str | None:
    """Why the exact distribution of a subset sum is out of reach, or None if it can be had."""
    ordered = np.sort(values)
    smallest, largest = _extreme_sums(ordered, size)
    states = int((largest - smallest).sum()) + size + 1
    if states > MAX_STATES or states * ordered.size > MAX_ADDITIONS:
        return f"the exact distribution needs {states:.3g} states for {ordered.size} values"
    if math.lgamma(ordered.size + 1) - math.lgamma(size + 1) - math.lgamma(ordered.size - size + 1) > math.log(
        _LARGEST_COUNT
    ):
        return f"the number of ways to choose {size} of {ordered.size} values overflows double precision"
    return None


def subset_sum_counts(values: Integers, size: int) -> tuple[int, Floats]:
    """Count the subsets of `size` of the `values` by their sum.

    Parameters
    ----------
    values
        (N,) integers >= 0.
    size
        Number of values in a subset, 0..N.

    Returns
    -------
    (smallest sum, counts)
        ``counts[s]`` subsets have the sum ``smallest + s``.

    Notes
    -----
    ``T[c+1][s+v] += T[c][s]`` for every value v and c descending. Values are taken in ascending order, so after i of
    them row c only holds sums between those of the c smallest and the c largest of the first i; rows that can no
    longer grow to `size` are left alone.
    """
    ordered = np.sort(values)
    n = ordered.size
    prefix = np.concatenate([[0], np.cumsum(ordered)]).tolist()
    smallest, largest = _extreme_sums(ordered, size)
    rows = [np.zeros(int(high - low) + 1) for low, high in zip(smallest, largest, strict=True)]
    rows[0][0] = 1.0
    for i, value in enumerate(ordered.tolist()):
        for c in range(min(i, size - 1), max(0, size - n + i) - 1, -1):
            width = prefix[i] - prefix[i - c] - prefix[c] + 1
            start = prefix[c] + value - prefix[c + 1]
            rows[c + 1][start : start + width] += rows[c][:width]
    return prefix[size], rows[size]


def sign_flip_refusal(values: Integers) -> str | None:
    """Why the exact sign-flip distribution is out of reach, or None if it can be had."""
    states = int(values.sum()) + 1
    if states > MAX_STATES or states * values.size > MAX_ADDITIONS:
        return f"the exact distribution needs {states:.3g} states for {values.size} differences"
    if values.size > math.log2(_LARGEST_COUNT):
        return f"2^{values.size} sign changes overflow double precision"
    return None


def sign_flip_counts(values: Integers) -> Floats:
    """Count the sign assignments of ``values >= 0`` by the sum of those that are positive.

    Zero differences are kept: they double every count.
    """
    ordered = np.sort(values).tolist()
    counts = np.zeros(sum(ordered) + 1)
    counts[0] = 1.0
    reach = 1
    for value in ordered:
        counts[value : value + reach] += counts[:reach].copy()
        reach += value
    return counts


def tail_probability(
    sums: Integers, counts: Floats, observed: int, centre: tuple[int, int], tail: Alternative
) -> float:
    """Probability of a sum at least as extreme as `observed`, ties included.

    `centre` is the null mean of the sums as (numerator, denominator), so that the two-sided comparison
    ``|T - E T| >= |t - E T|`` is one of integers.
    """
    if tail == "greater":
        extreme = sums >= observed
    elif tail == "less":
        extreme = sums <= observed
    else:
        numerator, denominator = centre
        extreme = np.abs(sums * denominator - numerator) >= abs(observed * denominator - numerator)
    return math.fsum(counts[extreme].tolist()) / math.fsum(counts.tolist())


def _extreme_sums(ordered: Integers, size: int) -> tuple[Integers, Integers]:
    """Smallest and largest sum of c values, for c = 0..size."""
    smallest = np.concatenate([[0], np.cumsum(ordered[:size])])
    largest = np.concatenate([[0], np.cumsum(ordered[::-1][:size])])
    return smallest, largest
