"""The paper's own tables agree with each other and with what random labels must give."""

import itertools
import math
import statistics
from collections.abc import Iterator

import pytest

from contract.schemas import Metric
from interlayer.reproduce.experiments import BLOCKS, EIGHT_BLOCKS, FOUR_BLOCKS, LAYERS, Column
from interlayer.reproduce.tables import LAYOUTS, Table, Tables, paper_tables

METRICS: tuple[Metric, ...] = ("euclidean", "cosine")
COLUMNS: tuple[Column, ...] = ("cifar10_random", "cifar10_true", "mnist_true")
HALF_A_DIGIT = 0.0005


@pytest.fixture(params=list(itertools.product(COLUMNS, METRICS)), ids="-".join)
def paper(request: pytest.FixtureRequest) -> Tables:
    return paper_tables(*request.param)


def sums(table: Table, start: str, end: str, instance: int) -> float:
    """Sum of the steps from one layer to another."""
    first, last = LAYERS.index(start), LAYERS.index(end)
    return math.fsum(row.differences[instance] for row in table.rows if first < LAYERS.index(row.output_layer) <= last)


def test_every_table_has_the_rows_of_its_layout(paper: Tables) -> None:
    assert list(paper.tables) == list(LAYOUTS)
    steps = list(itertools.pairwise(LAYERS))
    for number in (1, 3, 6, 9):
        assert [(row.input_layer, row.output_layer) for row in paper[number].rows] == steps
    assert [row.output_layer for row in paper[2].rows] == list(LAYERS[1:])
    for number, name in ((4, EIGHT_BLOCKS), (7, EIGHT_BLOCKS), (5, FOUR_BLOCKS), (8, FOUR_BLOCKS)):
        assert [(row.input_layer, row.output_layer) for row in paper[number].rows] == list(
            itertools.pairwise(BLOCKS[name])
        )
    assert all(len(row.differences) == len(row.p_values) == 5 for table in paper.tables.values() for row in table.rows)


def test_names_of_cosine_tables_go_on_from_those_of_euclidean_ones() -> None:
    names = [table.name for metric in METRICS for table in paper_tables("mnist_true", metric).tables.values()]
    assert names == [f"S-{number}" for number in range(1, 19)]


@pytest.mark.parametrize(("blocks", "steps"), [(4, 3), (5, 3), (7, 6), (8, 6)])
def test_a_block_is_the_sum_of_its_steps(paper: Tables, blocks: int, steps: int) -> None:
    for row in paper[blocks].rows:
        assert row.input_layer is not None
        n_steps = LAYERS.index(row.output_layer) - LAYERS.index(row.input_layer)
        for instance, difference in enumerate(row.differences):
            expected = sums(paper[steps], row.input_layer, row.output_layer, instance)
            assert abs(difference - expected) <= HALF_A_DIGIT * (n_steps + 1) + 1e-9


def test_adaptation_grows_by_trained_minus_untrained_step(paper: Tables) -> None:
    for row in paper[2].rows:
        n_steps = LAYERS.index(row.output_layer)
        for instance, difference in enumerate(row.differences):
            trained, untrained = (sums(paper[number], LAYERS[0], row.output_layer, instance) for number in (3, 1))
            assert abs(difference - (trained - untrained)) <= HALF_A_DIGIT * (2 * n_steps + 1) + 1e-9


def test_the_gap_of_a_step_is_training_minus_validation(paper: Tables) -> None:
    for gap, train, validation in zip(paper[9].rows, paper[3].rows, paper[6].rows, strict=True):
        for values in zip(gap.differences, train.differences, validation.differences, strict=True):
            assert abs(values[0] - (values[1] - values[2])) <= 3 * HALF_A_DIGIT + 1e-9


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7, 8])
def test_one_sided_p_values_are_above_a_half_where_the_difference_is_negative(paper: Tables, number: int) -> None:
    for row in paper[number].rows:
        for difference, p in zip(row.differences, row.p_values, strict=True):
            assert p is not None
            # A difference that prints as .000 may have either sign; the permuted means are lumpy near p = .5.
            if abs(difference) > HALF_A_DIGIT:
                assert p > 0.45 if difference < 0 else p < 0.55


def null_tests(number: int, metric: Metric) -> Iterator[tuple[float, float]]:
    for row in paper_tables("cifar10_random", metric)[number].rows:
        # Steps before the dense layers on training data, every step on validation data: nothing is learned there.
        if number == 6 or LAYERS.index(row.output_layer) < LAYERS.index("5.Dense"):
            for difference, p in zip(row.differences, row.p_values, strict=True):
                assert p is not None
                yield difference, p


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("number", [3, 6])
def test_random_label_p_values_are_those_of_45_pairs_with_the_null_variance(number: int, metric: Metric) -> None:
    """A two-sample test of 45 + 45 pairs with n = 1000: one-sided p = 1 - Phi(d / (sqrt(1 / 2000) sqrt(2 / 45)))."""
    standard_error = math.sqrt(1 / 2000) * math.sqrt(2 / 45)
    assert standard_error == pytest.approx(0.0047, abs=5e-5)
    normal = statistics.NormalDist()
    errors = [abs(p - (1 - normal.cdf(difference / standard_error))) for difference, p in null_tests(number, metric)]
    assert statistics.median(errors) < 0.02
    assert max(errors) < 0.12  # the spread of 45 values is itself known to a tenth, and the difference to .0005
