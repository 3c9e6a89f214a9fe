"""Slow, obvious p-values of permutation tests, exact in rational arithmetic."""

import itertools
import math
from collections import defaultdict
from fractions import Fraction
from typing import Literal

Tail = Literal["two-sided", "greater", "less"]
TAILS: tuple[Tail, ...] = ("two-sided", "greater", "less")


def is_extreme(value: Fraction, observed: Fraction, centre: Fraction, alternative: Tail) -> bool:
    if alternative == "greater":
        return value >= observed
    if alternative == "less":
        return value <= observed
    return abs(value - centre) >= abs(observed - centre)


def enumerate_two_sample(a: list[int], b: list[int], alternative: Tail) -> Fraction:
    """Every division of the pooled values, in rational arithmetic."""
    pooled = [Fraction(value) for value in a + b]
    total = sum(pooled)

    def difference(chosen: tuple[int, ...]) -> Fraction:
        first = sum((pooled[i] for i in chosen), Fraction(0))
        return first / len(a) - (total - first) / len(b)

    observed = difference(tuple(range(len(a))))
    divisions = list(itertools.combinations(range(len(pooled)), len(a)))
    extreme = sum(is_extreme(difference(chosen), observed, Fraction(0), alternative) for chosen in divisions)
    return Fraction(extreme, len(divisions))


def enumerate_sign_flip(differences: list[int], alternative: Tail) -> Fraction:
    observed = Fraction(sum(differences))
    flips = list(itertools.product((1, -1), repeat=len(differences)))
    extreme = sum(
        is_extreme(
            Fraction(sum(s * abs(d) for s, d in zip(signs, differences, strict=True))),
            observed,
            Fraction(0),
            alternative,
        )
        for signs in flips
    )
    return Fraction(extreme, len(flips))


def big_integer_tail(a: list[int], b: list[int]) -> Fraction:
    """P(sum of a >= observed) by a dictionary recursion in unbounded integers."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    counts[0, 0] = 1
    for value in a + b:
        for (size, total), count in list(counts.items()):
            if size < len(a):
                counts[size + 1, total + value] += count
    tail = sum(count for (size, total), count in counts.items() if size == len(a) and total >= sum(a))
    return Fraction(tail, math.comb(len(a) + len(b), len(a)))
