"""How one report has changed from another: layer by layer, class pair by class pair.

The difference of two means is tested by the subsample t: the variances of the two means, each from its own fold means,
add. That is right for independent data, and errs on the safe side where both networks saw the same rows, whose errors
then cancel in part. Only the standard library is needed.
"""

import math
from collections.abc import Iterator, Sequence

from contract.schemas import Interval, Report, Separation
from contract.schemas.comparison import Comparison, LayerChange, PairChange, ReportDifference
from interlayer import student

LEVEL = 0.95
METHOD = "subsample"
IDENTICAL = "identical"
MOST_DEGREES = 10.0  # as in the reports themselves: leaves room for a variance estimated too small
SATURATED_CROSS_EDGES = 10
_WORST_PAIRS = 5
_ROUNDING = 1e-12

Role = tuple[str, str, str, int | None, str]


def compare(base: Report, candidate: Report) -> Comparison:
    """Compare two reports.

    Parameters
    ----------
    base, candidate
        The reports; every difference is candidate minus base, so a drop is negative.

    Returns
    -------
    Comparison
        With a change for every layer that both have. What keeps the reports from being compared whole is in
        `differences`; where one of these is decisive, there is no change at all.
    """
    differences = list(_differences(base, candidate))
    changes: list[LayerChange] = []
    if not any(difference.decisive for difference in differences):
        before = {_role(found): found for found in base.separations}
        twins = [(before[_role(found)], found) for found in candidate.separations if _role(found) in before]
        changes = _adjusted([_change(one, other) for one, other in twins])
    return Comparison(comparable=not differences, differences=differences, method=METHOD, level=LEVEL, changes=changes)


def _role(found: Separation) -> Role:
    return (found.instance, found.state, found.split, found.step, found.layer)


def _differences(base: Report, candidate: Report) -> Iterator[ReportDifference]:
    """Yield what the two reports do not have in common: the comparability key."""
    one, other = base.provenance, candidate.provenance
    decisive: dict[str, tuple[object, object]] = {
        "classes": (base.classes, candidate.classes),
        "metric": (one.metric, other.metric),
        "estimator": (one.estimator, other.estimator),
        "ties": (one.ties, other.ties),
        "rows per class": (_rows(base), _rows(candidate)),
    }
    for field, (before, after) in decisive.items():
        if before != after:
            yield ReportDifference(field=field, base=_shown(before), candidate=_shown(after), decisive=True)
    parts = {
        "layers": (base.layers, candidate.layers),
        "networks and splits": (_networks(base), _networks(candidate)),
    }
    for field, (names, others) in parts.items():
        if names != others:
            yield ReportDifference(
                field=field,
                base=_shown([name for name in names if name not in others]) or "nothing else",
                candidate=_shown([name for name in others if name not in names]) or "nothing else",
                decisive=not set(names) & set(others),
            )


def _networks(report: Report) -> list[str]:
    steps = {found.step: "" if found.step is None else f" at step {found.step}" for found in report.separations}
    return sorted({f"{s.instance} {s.state} {s.split}{steps[s.step]}" for s in report.separations})


def _rows(report: Report) -> list[tuple[int, ...]]:
    """Return the rows per class of every input, each combination once: the statistic depends on them."""
    return sorted({tuple(found.n_per_class) for found in report.separations})


def _shown(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 300 else f"{text[:299]}…"


def _change(base: Separation, candidate: Separation) -> LayerChange:
    difference = candidate.mean - base.mean
    error, degrees, reason = _standard_error(base, candidate)
    low = high = p_value = None
    if error is not None:
        half_width = student.quantile((1 - LEVEL) / 2, degrees) * error
        low, high = difference - half_width, difference + half_width
        p_value = min(1.0, 2 * student.tail(abs(difference) / error, degrees))
    elif reason == IDENTICAL:
        p_value = 1.0
    return LayerChange(
        instance=candidate.instance,
        state=candidate.state,
        split=candidate.split,
        step=candidate.step,
        layer=candidate.layer,
        base=base.mean,
        candidate=candidate.mean,
        difference=difference,
        interval=Interval(
            low=low,
            high=high,
            level=LEVEL,
            method=METHOD,
            estimand="these_classes",
            reason=reason if low is None else None,
        ),
        standard_error=error,
        degrees_of_freedom=None if error is None else degrees,
        p_value=p_value,
        p_adjusted=None,
        reason=reason,
        worst_pairs=_worst_pairs(base, candidate),
    )


def _standard_error(base: Separation, candidate: Separation) -> tuple[float | None, float, str | None]:
    """Return the standard error of the difference, its degrees of freedom, and why there is none."""
    none = None, MOST_DEGREES
    if base.pairs == candidate.pairs:
        return *none, IDENTICAL
    if base.fold_means is None or candidate.fold_means is None:
        return *none, "a class has too few rows for subsamples"
    for found in (base, candidate):
        if is_saturated(found):
            return *none, f"saturated: fewer than {SATURATED_CROSS_EDGES} cross edges are left in a layer to vary"
    parts = [subsample_variance(base.fold_means), subsample_variance(candidate.fold_means)]
    error = math.sqrt(sum(variance for variance, _ in parts))
    if error <= _ROUNDING:
        return *none, "the means are the same in every subsample: no variance to compare them with"
    return error, min(MOST_DEGREES, *(degrees for _, degrees in parts)), None


def edges_to_vary(found: Separation) -> float:
    """Return the cross edges beyond the one that every class pair has at least."""
    return math.fsum(found.pairs.cross_edges) - len(found.pairs.cross_edges)


def is_saturated(found: Separation) -> bool:
    """Tell whether so few cross edges are left that the spread of subsamples says nothing about them."""
    return edges_to_vary(found) < SATURATED_CROSS_EDGES


def subsample_variance(folds: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the variance of a mean over the class pairs from its fold means, and its degrees of freedom."""
    n_repeats, n_folds = len(folds), len(folds[0])
    within = [math.fsum((value - math.fsum(row) / n_folds) ** 2 for value in row) / (n_folds - 1) for row in folds]
    return math.fsum(within) / n_repeats / n_folds, n_repeats * (n_folds - 1.0)


def _worst_pairs(base: Separation, candidate: Separation) -> list[PairChange]:
    columns = zip(
        candidate.pairs.class_a, candidate.pairs.class_b, base.pairs.statistic, candidate.pairs.statistic, strict=True
    )
    found = [
        PairChange(class_a=a, class_b=b, base=before, candidate=after, difference=after - before)
        for a, b, before, after in columns
        if after < before
    ]
    return sorted(found, key=lambda pair: pair.difference)[:_WORST_PAIRS]


def _adjusted(changes: list[LayerChange]) -> list[LayerChange]:
    """Return the changes with their p-values adjusted by Holm over the layers of one network on one split."""
    families: dict[tuple[str, str, str, int | None], list[int]] = {}
    for number, change in enumerate(changes):
        if change.p_value is not None:
            families.setdefault((change.instance, change.state, change.split, change.step), []).append(number)
    adjusted = list(changes)
    for family in families.values():
        least = 0.0
        for rank, number in enumerate(sorted(family, key=lambda number: changes[number].p_value or 0.0)):
            least = max(least, min(1.0, (len(family) - rank) * (changes[number].p_value or 0.0)))
            adjusted[number] = changes[number].model_copy(update={"p_adjusted": least})
    return adjusted
