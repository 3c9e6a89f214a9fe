"""What the paper claims, as rules: a number for each instance, and the band it must lie in.

The rules speak of tables only, so the paper's own tables are held to them like ours. They were chosen to be as strict
as the paper's tables allow and no stricter than the claim: signs, orders and shares rather than third decimals.
Significance is that of the paper's test, p < 0.05 without adjustment, in every instance.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interlayer.reproduce.experiments import LAYERS, Column
from interlayer.reproduce.tables import Table, Tables

LEVEL = 0.05
_RANDOM: Column = "cifar10_random"
_HARD: Column = "cifar10_true"
_EASY: Column = "mnist_true"

_DENSE = ("5.Dense", "5.ReLU", "6.Dense", "6.Softmax")
_FIRST_DENSE = LAYERS.index("5.Dense")
_NEVER = len(LAYERS)

Band = tuple[float, float]


@dataclass(frozen=True)
class Evidence:
    """The tables of an experiment, and those of the same experiment with the other distance, if there are any."""

    tables: Tables
    other: Tables | None = None

    @property
    def noise(self) -> float:
        """Three standard errors of the difference of two independent mean separations without any separation.

        One class pair has the variance 1/(2n); pairs that share a class make the variance of the mean of all P pairs
        about four times as large as that of independent ones: 3 sqrt(2 * 4 / (2 n P)).
        """
        tables = self.tables
        return 6 / math.sqrt(math.comb(tables.n_classes, 2) * tables.per_class)


@dataclass(frozen=True)
class Claim:
    """One claim about some experiments: what is measured in each instance, and the band where it holds."""

    code: str
    statement: str
    columns: tuple[Column, ...]
    measure: Callable[[Evidence], Sequence[float]]
    band: Callable[[Evidence], Band]
    is_layer: bool = False

    def holds(self, evidence: Evidence) -> bool:
        """Whether every instance lies in the band."""
        low, high = self.band(evidence)
        return all(low <= value <= high for value in self.measure(evidence))


def _between(low: float, high: float) -> Callable[[Evidence], Band]:
    return lambda _: (low, high)


def _more_than_noise(evidence: Evidence) -> Band:
    return (evidence.noise, math.inf)


def _less_than_minus_noise(evidence: Evidence) -> Band:
    return (-math.inf, -evidence.noise)


def _noise(evidence: Evidence) -> Band:
    return (-evidence.noise, evidence.noise)


def _step(number: int, layer: str) -> Callable[[Evidence], Sequence[float]]:
    return lambda evidence: evidence.tables[number].row(layer).differences


def _total(number: int) -> Callable[[Evidence], Sequence[float]]:
    return lambda evidence: evidence.tables[number].totals()


def _share(number: int, layers: Sequence[str]) -> Callable[[Evidence], Sequence[float]]:
    def measure(evidence: Evidence) -> Sequence[float]:
        table = evidence.tables[number]
        parts = (sum(values) for values in zip(*(table.row(layer).differences for layer in layers), strict=True))
        return [part / total if total else math.inf for part, total in zip(parts, table.totals(), strict=True)]

    return measure


def _ratio(number: int, by: int) -> Callable[[Evidence], Sequence[float]]:
    def measure(evidence: Evidence) -> Sequence[float]:
        pairs = zip(evidence.tables[number].totals(), evidence.tables[by].totals(), strict=True)
        return [value / total if total else math.inf for value, total in pairs]

    return measure


def _largest_step(number: int) -> Callable[[Evidence], Sequence[float]]:
    return lambda evidence: [max(map(abs, steps)) for steps in _by_instance(evidence.tables[number])]


def _lead(number: int, layer: str) -> Callable[[Evidence], Sequence[float]]:
    """Return by how much the step to a layer exceeds every other."""

    def measure(evidence: Evidence) -> Sequence[float]:
        table = evidence.tables[number]
        others = zip(*(row.differences for row in table.rows if row.output_layer != layer), strict=True)
        return [step - max(rest) for step, rest in zip(table.row(layer).differences, others, strict=True)]

    return measure


def _by_instance(table: Table) -> list[tuple[float, ...]]:
    return list(zip(*(row.differences for row in table.rows), strict=True))


def _significant(table: Table) -> list[str]:
    """Return the layers whose difference is significant in every instance."""
    return [row.output_layer for row in table.rows if all(p is not None and p < LEVEL for p in row.p_values)]


def _n_significant(number: int, layers: Sequence[str]) -> Callable[[Evidence], Sequence[float]]:
    return lambda evidence: [sum(layer in layers for layer in _significant(evidence.tables[number]))]


def _first_significant(evidence: Evidence) -> Sequence[float]:
    found = _significant(evidence.tables[2])
    return [LAYERS.index(found[0]) if found else _NEVER]


def _input_level(evidence: Evidence) -> Sequence[float]:
    """Return the separation at the input, or the most that it can be where only differences were printed.

    No statistic exceeds 1 - 1/n, so the input lies below that by at least the highest point of any path from it.
    """
    tables = evidence.tables
    if tables.input_levels is not None:
        return tables.input_levels
    highest = 1 - 1 / tables.per_class
    bounds = []
    for instance in range(len(tables.instances)):
        reached = [0.0]
        for number in (1, 3):
            level = 0.0
            for row in tables[number].rows:
                level += row.differences[instance]
                reached.append(level)
        bounds.append(highest - max(reached))
    return bounds


def _agreement(evidence: Evidence) -> Sequence[float]:
    """Return the correlation of the mean steps of the trained network, on training data, between the two distances."""
    assert evidence.other is not None, "asked for only where both distances are there"
    first, second = (
        [statistics.fmean(row.differences) for row in tables[3].rows] for tables in (evidence.tables, evidence.other)
    )
    if len(set(first)) == 1 or len(set(second)) == 1:
        return [0.0]
    return [statistics.correlation(first, second)]


_CONVOLUTIONAL = tuple(layer for layer in LAYERS[1:] if layer not in _DENSE)
_NOT_LAST_DENSE = tuple(layer for layer in LAYERS[1:] if layer != "6.Dense")
_NONE, _ALL_TWO, _ALL_THREE, _ALL_FOUR = (_between(count, count) for count in (0, 2, 3, 4))
_ABOUT_ONE = _between(0.9, 1.1)
_POSITIVE = _between(0.0, math.inf)
_TRUE = (_HARD, _EASY)

NEEDS_BOTH_METRICS = frozenset({"Q9b"})

CLAIMS: tuple[Claim, ...] = (
    Claim("Q1a", "Untrained, random labels: number of layer steps that are significant in every instance is 0",
          (_RANDOM,), _n_significant(1, LAYERS), _NONE),
    Claim("Q1b", "Untrained: the last dense layer loses separation, by more than noise",
          _TRUE, _step(1, "6.Dense"), _less_than_minus_noise),
    Claim("Q1c", "Untrained: number of other steps that are significant in every instance is 0",
          _TRUE, _n_significant(1, _NOT_LAST_DENSE), _NONE),
    Claim("Q2a", "Random labels, training data: separation rises from none to all, by about 1",
          (_RANDOM,), _total(3), _ABOUT_ONE),
    Claim("Q2b", "Random labels, training data: share of this gain in 5.Dense, 5.ReLU and 6.Dense is about 1",
          (_RANDOM,), _share(3, _DENSE[:3]), _ABOUT_ONE),
    Claim("Q2c", "Random labels, training data: how many of these three gains are significant in every instance",
          (_RANDOM,), _n_significant(3, _DENSE[:3]), _ALL_THREE),
    Claim("Q2d", "Random labels, training data: the softmax adds nothing",
          (_RANDOM,), _step(3, "6.Softmax"), _noise),
    Claim("Q3a", "Random labels, validation data: largest step of any layer is within noise",
          (_RANDOM,), _largest_step(6), _noise),
    Claim("Q3b", "Random labels, validation data: total gain is within noise",
          (_RANDOM,), _total(6), _noise),
    Claim("Q3c", "Random labels: gap of total gain between training and validation data is about 1",
          (_RANDOM,), _total(9), _ABOUT_ONE),
    Claim("Q4", "Trained, training data: the step to 6.Dense is the largest (lead over the next)",
          (_RANDOM, _HARD), _lead(3, "6.Dense"), _POSITIVE),
    Claim("Q5a", "Random labels: training changes no layer before 5.Dense in every instance (first changed layer)",
          (_RANDOM,), _first_significant, _between(_FIRST_DENSE, _NEVER - 1), is_layer=True),
    Claim("Q5a", "Hard true labels: training changes convolutional layers already (first changed layer)",
          (_HARD,), _first_significant, _between(1, _FIRST_DENSE - 1), is_layer=True),
    Claim("Q5a", "Easy true labels: training changes no layer before 4.MaxPool in every instance (first changed layer)",
          (_EASY,), _first_significant, _between(_FIRST_DENSE - 1, _NEVER - 1), is_layer=True),
    Claim("Q5b", "Training raises separation at the softmax, on training data, by more than noise",
          (_RANDOM, *_TRUE), _step(2, "6.Softmax"), _more_than_noise),
    Claim("Q6a", "Generalization gap: number of convolutional steps with a gap in every instance is 0",
          _TRUE, _n_significant(9, _CONVOLUTIONAL), _NONE),
    Claim("Q6b", "Generalization gap: how many of the four dense steps have one in every instance",
          (_HARD,), _n_significant(9, _DENSE), _ALL_FOUR),
    Claim("Q6b", "Generalization gap: 6.Dense and 6.Softmax have one in every instance (how many of the two)",
          (_EASY,), _n_significant(9, _DENSE[2:]), _ALL_TWO),
    Claim("Q6c", "Generalization gap: most of it is in the dense layers (share)",
          _TRUE, _share(9, _DENSE), _between(0.5, 1.5)),
    Claim("Q6d", "Generalization gap: more than noise, and far from the 1 of random labels (total)",
          (_HARD,), _total(9), lambda evidence: (evidence.noise, 0.5)),
    Claim("Q6d", "Generalization gap: within noise (total)", (_EASY,), _total(9), _noise),
    Claim("Q7a", "Hard true labels: validation data gain separation too, more than noise (total)",
          (_HARD,), _total(6), _more_than_noise),
    Claim("Q7b", "Hard true labels: validation data gain less than training data (share of their gain)",
          (_HARD,), _ratio(6, by=3), _between(0.0, 0.9)),
    Claim("Q7c", "Hard true labels: 6.Dense gains on validation data",
          (_HARD,), _step(6, "6.Dense"), _POSITIVE),
    Claim("Q7d", "Easy true labels: the softmax does not lose separation on training data",
          (_EASY,), _step(3, "6.Softmax"), _POSITIVE),
    Claim("Q7e", "Easy true labels: the softmax loses separation on validation data",
          (_EASY,), _step(6, "6.Softmax"), _between(-math.inf, -1e-9)),
    Claim("Q8a", "Hard true labels: the second pooling gains on training data", (_HARD,), _step(3, "4.MaxPool"),
          _POSITIVE),
    Claim("Q8b", "Hard true labels: the second pooling gains on validation data", (_HARD,), _step(6, "4.MaxPool"),
          _POSITIVE),
    Claim("Q9a", "Random labels: no separation at the input (paper: the most its tables allow)",
          (_RANDOM,), _input_level, _noise),
    Claim("Q9a", "Hard true labels: some separation at the input (paper: the most its tables allow)",
          (_HARD,), _input_level, lambda evidence: (evidence.noise, 0.6)),
    Claim("Q9a", "Easy true labels: nearly separated at the input (paper: the most its tables allow)",
          (_EASY,), _input_level, _between(0.9, 1.0)),
    Claim("Q9b", "Euclidean and cosine distance agree in trend (correlation of the steps on training data)",
          (_RANDOM, *_TRUE), _agreement, _between(0.7, 1.0)),
)  # fmt: skip
