"""Adjusted p-values of a family of tests.

A family is what one reader looks at together: one network, one metric, one split, one kind of table. A test without a
p-value (None) is not part of its family.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hpcore._result import Alternative, check_alternative
from hpcore.errors import InvalidInput

Floats = NDArray[np.float64]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment: controls the chance of any false rejection under every kind of dependence.

    ``p_adj(i) = max over j <= i of min(1, (m - j + 1) p(j))`` for the ordered p-values (Holm 1979).

    Raises
    ------
    InvalidInput
        If a p-value is outside [0, 1].
    """
    return _adjusted(p_values, _holm)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's step-up adjustment: controls the expected share of false rejections.

    ``p_adj(i) = min over j >= i of min(1, m p(j) / j)`` for the ordered p-values (Benjamini and Hochberg 1995); holds
    for independent and for positively dependent tests.

    Raises
    ------
    InvalidInput
        If a p-value is outside [0, 1].
    """
    return _adjusted(p_values, _benjamini_hochberg)


def step_down_max_t(statistics: Floats, null: Floats, *, alternative: Alternative = "two-sided") -> Floats:
    """Westfall and Young's step-down max-T adjustment from one draw shared by all tests.

    Parameters
    ----------
    statistics
        (T,) standardised statistics, null mean 0.
    null
        (B, T) the same statistics under B permutations, row b being one permutation applied to all tests.
    alternative
        Which direction is extreme.

    Returns
    -------
    ndarray (T,)
        ``(b + 1) / (B + 1)`` for the b draws whose maximum over the tests not yet rejected reaches the statistic,
        made monotone (Westfall and Young 1993, algorithm 4.1).
    """
    check_alternative(alternative)
    direction: Callable[[Floats], Floats] = {
        "two-sided": np.abs,
        "greater": np.positive,
        "less": np.negative,
    }[alternative]
    extreme, null_extreme = direction(statistics), direction(null)
    order = np.argsort(-extreme, kind="stable")
    # Column j then holds the maximum over the tests ranked j and below.
    successive = np.maximum.accumulate(null_extreme[:, order[::-1]], axis=1)[:, ::-1]
    counts = np.count_nonzero(successive >= extreme[order], axis=0)
    adjusted = np.empty_like(extreme, dtype=np.float64)
    adjusted[order] = np.maximum.accumulate((counts + 1) / (len(null) + 1))
    return adjusted


def _holm(ordered: Floats) -> Floats:
    m = ordered.size
    return np.maximum.accumulate(np.minimum(1.0, ordered * (m - np.arange(m))))


def _benjamini_hochberg(ordered: Floats) -> Floats:
    m = ordered.size
    return np.minimum.accumulate(np.minimum(1.0, ordered * m / (np.arange(m) + 1))[::-1])[::-1]


def _adjusted(p_values: Sequence[float | None], rule: Callable[[Floats], Floats]) -> list[float | None]:
    present = [i for i, p in enumerate(p_values) if p is not None]
    values = np.array([p_values[i] for i in present], dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise InvalidInput("`p_values` must lie in [0, 1] (or be None where there is no test)")
    order = np.argsort(values, kind="stable")
    result: list[float | None] = [None] * len(p_values)
    for position, p in zip(order, rule(values[order]), strict=True):
        result[present[position]] = float(p)
    return result
