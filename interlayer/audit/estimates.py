"""Numbers of a report, each with what is needed to tell whether it is beyond a bound by more than chance.

The mean over the class pairs has a standard error: the subsample variance from the fold means, with 10 degrees of
freedom as in the report itself. Nothing else has one, so other statistics are judged over disjoint parts of the rows:
were the median of a part not beyond the bound, all of r parts would be with probability at most 2^-r.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from contract.schemas import Report, Separation
from interlayer import student
from interlayer.comparison import MOST_DEGREES, edges_to_vary, is_saturated, subsample_variance

_ROUNDING = 1e-12
_MORE_EDGES = 3.0  # 95 % upper bound of a Poisson mean of which nothing was seen
_QUANTILES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
Pair = frozenset[str]


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error, or the reason why there is none."""

    value: float
    error: float | None
    degrees: float
    method: str
    reason: str = ""

    def p_above(self, bound: float) -> float | None:
        """Return the one-sided p-value of the hypothesis that the truth is at most `bound`."""
        if self.error is None:
            return None
        return student.tail((self.value - bound) / self.error, self.degrees)

    def p_below(self, bound: float) -> float | None:
        """Return the one-sided p-value of the hypothesis that the truth is at least `bound`."""
        if self.error is None:
            return None
        return student.tail((bound - self.value) / self.error, self.degrees)


def mean_of(found: Separation) -> Estimate:
    """Return the mean over the class pairs."""
    return _estimate(found.mean, [found])


def gap_of(train: Separation, validation: Separation) -> Estimate:
    """Return by how much the mean on training data exceeds that on validation data; the rows are independent."""
    return _estimate(train.mean - validation.mean, [train, validation])


def _estimate(value: float, measured: Sequence[Separation]) -> Estimate:
    variance, degrees = 0.0, MOST_DEGREES
    method = "subsample"
    for found in measured:
        if found.fold_means is None:
            return Estimate(value, None, degrees, method, "a class has too few rows for subsamples")
        part, freedom = subsample_variance(found.fold_means)
        if is_saturated(found):
            part, method = max(part, _saturated_variance(found)), "subsample, saturated layer bounded"
        variance, degrees = variance + part, min(degrees, freedom)
    if variance <= _ROUNDING**2:
        return Estimate(value, None, degrees, method, "no subsample differs from another: no variance to judge with")
    return Estimate(value, math.sqrt(variance), degrees, method)


def _saturated_variance(found: Separation) -> float:
    """Return an upper bound of the variance of the mean of a layer with hardly a cross edge left.

    The few edges beyond one per pair are rare events, of which at most S + 3 are expected where S were seen. A point
    that strays crosses to each of the other K - 1 classes at once, hence the factor.
    """
    pairs = found.pairs
    seen = max(0.0, edges_to_vary(found))
    most = max((m + n) / (2 * m * n) for m, n in zip(pairs.n_a, pairs.n_b, strict=True)) / len(pairs.statistic)
    return (found.n_classes - 1) * (seen + _MORE_EDGES) * most * most


def statistic_of(found: Separation, statistic: str, ignored: Collection[Pair]) -> float | None:
    """Return a statistic over the class pairs that are not ignored, None where none is left."""
    values = sorted(value for pair, value in pair_values(found).items() if pair not in ignored)
    if not values:
        return None
    if statistic == "mean":
        return math.fsum(values) / len(values)
    if statistic in ("min", "max"):
        return values[0 if statistic == "min" else -1]
    place = _QUANTILES[statistic] * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def pair_values(found: Separation) -> dict[Pair, float]:
    """Return the statistic of every class pair."""
    pairs = found.pairs
    names = zip(pairs.class_a, pairs.class_b, strict=True)
    return {frozenset(names_): value for names_, value in zip(names, pairs.statistic, strict=True)}


def sign_test(beyond: int, parts: int) -> float:
    """Return the probability that at least `beyond` of `parts` fair coins show heads."""
    return math.fsum(math.comb(parts, count) for count in range(beyond, parts + 1)) / 2.0**parts


def adjusted(p_values: Sequence[float | None], adjustment: str) -> list[float | None]:
    """Return the p-values adjusted by Holm or by Benjamini and Hochberg; None stays None."""
    order = sorted((p, number) for number, p in enumerate(p_values) if p is not None)
    count = len(order)
    result: list[float | None] = list(p_values)
    if adjustment == "holm":
        least = 0.0
        for rank, (p, number) in enumerate(order):
            least = max(least, min(1.0, (count - rank) * p))
            result[number] = least
    else:
        most = 1.0
        for rank in reversed(range(count)):
            p, number = order[rank]
            most = min(most, count * p / (rank + 1))
            result[number] = most
    return result


def find(report: Report, like: Separation) -> Separation | None:
    """Return the separation of another report that has the same role."""
    role = (like.instance, like.state, like.split, like.step, like.layer)
    for found in report.separations:
        if (found.instance, found.state, found.split, found.step, found.layer) == role:
            return found
    return None
