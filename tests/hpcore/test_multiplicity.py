"""Adjusted p-values against hand calculation, SciPy and a slow reading of the definitions."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hpcore.errors import InvalidInput
from hpcore.multiplicity import benjamini_hochberg, holm, step_down_max_t

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(p_values=probabilities)
def test_holm_rejects_what_the_sequential_procedure_rejects(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.2):
        rejected: set[int] = set()
        for rank, i in enumerate(sorted(range(len(p_values)), key=lambda j: p_values[j])):
            if p_values[i] * (len(p_values) - rank) > level:
                break
            rejected.add(i)
        found = {i for i, p in enumerate(adjusted) if p is not None and p <= level}
        assert found == rejected


@given(p_values=probabilities)
def test_benjamini_hochberg_equals_scipy(p_values: list[float]) -> None:
    assert benjamini_hochberg(p_values) == pytest.approx(list(scipy.stats.false_discovery_control(p_values)))


@pytest.mark.parametrize("rule", [holm, benjamini_hochberg])
def test_a_missing_p_value_is_no_member_of_the_family(rule: type) -> None:
    without = rule([0.01, 0.04])
    assert rule([None, 0.01, None, 0.04]) == [None, without[0], None, without[1]]
    assert rule([None]) == [None]
    assert rule([]) == []


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput, match="p_values"):
        holm([0.5, bad])


def test_step_down_max_t_reads_the_definition() -> None:
    generator = np.random.default_rng(0)
    null = generator.normal(size=(200, 4))
    statistics = np.array([0.3, -3.1, 1.9, 2.2])
    adjusted = step_down_max_t(statistics, null)
    order = [1, 3, 2, 0]  # by absolute value
    expected, running = {}, 0.0
    for rank, test in enumerate(order):
        remaining = order[rank:]
        exceed = sum(max(abs(draw[j]) for j in remaining) >= abs(statistics[test]) for draw in null)
        running = max(running, (exceed + 1) / 201)
        expected[test] = running
    assert adjusted == pytest.approx([expected[i] for i in range(4)])


def test_max_t_of_identical_tests_costs_nothing() -> None:
    """Perfect dependence: the adjustment must not multiply, as Holm does."""
    generator = np.random.default_rng(1)
    column = generator.normal(size=(999, 1))
    adjusted = step_down_max_t(np.full(5, 2.0), np.repeat(column, 5, axis=1), alternative="greater")
    raw = (np.count_nonzero(column >= 2.0) + 1) / 1000
    assert adjusted == pytest.approx(np.full(5, raw))
