"""The claims hold of the paper's own tables, and each can fail."""

import dataclasses
import itertools
import math
import statistics

import pytest

from contract.schemas import Metric
from interlayer.reproduce import claims
from interlayer.reproduce.claims import CLAIMS, Claim, Evidence
from interlayer.reproduce.comparison import compare, to_json, to_markdown
from interlayer.reproduce.experiments import EXPERIMENTS, Column
from interlayer.reproduce.tables import LAYOUTS, Row, Table, Tables, paper_tables

METRICS: tuple[Metric, ...] = ("euclidean", "cosine")
COLUMNS: tuple[Column, ...] = ("cifar10_random", "cifar10_true", "mnist_true")


def paper(column: Column, metric: Metric = "euclidean") -> Evidence:
    other: Metric = "cosine" if metric == "euclidean" else "euclidean"
    return Evidence(paper_tables(column, metric), paper_tables(column, other))


def claims_about(column: Column) -> dict[str, Claim]:
    return {claim.code: claim for claim in CLAIMS if column in claim.columns}


@pytest.mark.parametrize(("column", "metric"), list(itertools.product(COLUMNS, METRICS)))
def test_every_claim_holds_of_the_paper(column: Column, metric: Metric) -> None:
    evidence = paper(column, metric)
    assert [code for code, claim in claims_about(column).items() if not claim.holds(evidence)] == []


def test_all_nine_claims_are_there() -> None:
    assert {claim.code[:2] for claim in CLAIMS} == {f"Q{number}" for number in range(1, 10)}


def wrong(evidence: Evidence, sign: int) -> Evidence:
    """Networks whose every layer gains (1) or loses (-1), early ones most, all of it certain or none of it."""
    tables = {
        number: Table(
            number,
            table.metric,
            tuple(
                dataclasses.replace(
                    row, differences=(sign * (2 - place / 20),) * 5, p_values=(0.0 if sign < 0 else 1.0,) * 5
                )
                for place, row in enumerate(table.rows)
            ),
        )
        for number, table in evidence.tables.tables.items()
    }
    return dataclasses.replace(
        evidence, tables=dataclasses.replace(evidence.tables, tables=tables, input_levels=(2.0 * sign,) * 5)
    )


@pytest.mark.parametrize(
    ("claim", "column"),
    [(claim, column) for claim in CLAIMS for column in claim.columns],
    ids=lambda value: getattr(value, "code", value),
)
def test_every_claim_fails_of_some_network(claim: Claim, column: Column) -> None:
    assert not all(claim.holds(wrong(paper(column), sign)) for sign in (1, -1))


def hand_made(steps: dict[int, dict[str, tuple[float, float]]]) -> Evidence:
    """Tables of one instance from {table: {layer: (difference, p)}}."""
    tables = {
        number: Table(
            number,
            "euclidean",
            tuple(Row(None, layer, (difference,), (p,)) for layer, (difference, p) in steps.get(number, {}).items()),
        )
        for number in LAYOUTS
    }
    return Evidence(Tables("euclidean", ("0",), 100, 10, tables, (0.25,)))


def measured(code: str, column: Column, evidence: Evidence) -> list[float]:
    return list(claims_about(column)[code].measure(evidence))


def test_measures_of_hand_made_tables() -> None:
    steps = {
        "1.Conv": (0.1, 0.2),
        "5.Dense": (0.2, 0.01),
        "5.ReLU": (-0.1, 0.9),
        "6.Dense": (0.5, 0.001),
        "6.Softmax": (0.1, 0.04),
    }
    evidence = hand_made({1: steps, 2: steps, 3: steps, 6: {"1.Conv": (0.2, 0.1), "6.Dense": (-0.3, 0.1)}, 9: steps})
    assert measured("Q2a", "cifar10_random", evidence) == pytest.approx([0.8])
    assert measured("Q2b", "cifar10_random", evidence) == pytest.approx([0.6 / 0.8])
    assert measured("Q2c", "cifar10_random", evidence) == [2]
    assert measured("Q3a", "cifar10_random", evidence) == [0.3]
    assert measured("Q4", "cifar10_true", evidence) == pytest.approx([0.3])
    assert measured("Q5a", "cifar10_true", evidence) == [11]  # 5.Dense is the twelfth layer
    assert measured("Q6b", "cifar10_true", evidence) == [3]
    assert measured("Q7b", "cifar10_true", evidence) == pytest.approx([-0.1 / 0.8])
    assert measured("Q9a", "cifar10_true", evidence) == [0.25]


def test_noise_is_three_standard_errors_of_a_difference_of_null_means() -> None:
    """By simulating: pair values that share classes, with the variance and correlation of null statistics."""
    evidence = paper("cifar10_random")
    variance, shared = 1 / (2 * evidence.tables.per_class), 1 / 6
    # Mean of 45 pairs, each with 16 others that share a class: the variance of a mean of correlated values.
    of_mean = variance / 45 * (1 + 16 * shared)
    assert evidence.noise == pytest.approx(3 * math.sqrt(2 * of_mean), rel=0.05)
    assert dataclasses.replace(
        evidence, tables=dataclasses.replace(evidence.tables, per_class=10)
    ).noise == pytest.approx(10 * evidence.noise)


def test_the_paper_bounds_the_separation_at_the_input_from_above() -> None:
    """From the largest partial sum: .999 - .587 for true CIFAR-10 labels, .999 - .02 for MNIST."""
    measure = claims_about("cifar10_true")["Q9a"].measure
    assert min(measure(paper("cifar10_true"))) == pytest.approx(0.411, abs=0.003)
    assert min(measure(paper("mnist_true"))) == pytest.approx(0.979, abs=0.002)


def test_agreement_is_a_correlation_of_steps() -> None:
    first, second = (paper_tables("mnist_true", metric)[3].rows for metric in METRICS)
    expected = statistics.correlation(*([sum(row.differences) for row in rows] for rows in (first, second)))
    assert claims._agreement(paper("mnist_true"))[0] == pytest.approx(expected)


class TestComparison:
    def test_the_paper_against_itself_holds_or_is_not_applicable(self) -> None:
        experiment = EXPERIMENTS["digits-noisy"]
        found: dict[Metric, Tables] = {metric: paper_tables(experiment.column, metric) for metric in METRICS}
        verdicts = compare(experiment, found)
        assert {verdict.answer for verdict in verdicts} == {"holds", "not applicable"}
        assert all(verdict.ours == verdict.paper for verdict in verdicts if verdict.answer == "holds")
        about = {claim.code for claim in CLAIMS if experiment.column in claim.columns}
        assert {verdict.claim for verdict in verdicts if verdict.answer == "holds"} == about

    def test_one_distance_alone_leaves_their_agreement_open(self) -> None:
        experiment = EXPERIMENTS["mnist"]
        verdicts = compare(experiment, {"cosine": paper_tables(experiment.column, "cosine")})
        assert {verdict.claim: verdict.answer for verdict in verdicts}["Q9b"] == "not applicable"
        assert {verdict.metric for verdict in verdicts} == {"cosine"}

    def test_what_does_not_hold_is_said_so_in_every_rendering(self) -> None:
        experiment = EXPERIMENTS["cifar10-random"]
        # Networks that learned true labels, where random ones were expected.
        verdicts = compare(experiment, {"euclidean": paper_tables("cifar10_true", "euclidean")})
        total = next(verdict for verdict in verdicts if verdict.claim == "Q2a")
        assert total.answer == "does not hold"
        assert (total.shown_paper, total.shown_ours) == ("0.983 … 1.002", "0.478 … 0.588")
        assert "| Q2a | " in to_markdown(verdicts)
        assert "| 0.900 … 1.100 | 0.983 … 1.002 | 0.478 … 0.588 | **does not hold** |" in to_markdown(verdicts)
        assert '"does not hold"' in to_json(verdicts)
