"""Findings about the data behind a report: too few points, unequal classes, repeated points."""

from collections.abc import Iterator

from contract.schemas import Finding, Report, Separation, Severity
from hpcore.folds import SMALLEST_CLASS_FOR_FIVE_FOLDS, SMALLEST_CLASS_FOR_FOLDS
from hpcore.multiplicity import holm
from worker.readings import LEVEL, is_significant, networks, rows
from worker.sentences import Case, finding, layers_of, listed, number, rounded, verb

TIE_RANGE = 0.01
"""Range of a layer's mean over all minimum spanning trees that a reader should know of."""
DUPLICATE_SHARE = 0.01
"""Share of repeated rows that a reader should know of."""
NOT_HELD_OUT = 0.1
"""Share of validation rows that are training rows from which the split is not held out."""
NOTABLE_SHARE = 0.01
"""The same from which a reader should know of it."""
CHANCE = 2.0
"""Rows shared between the splits are chance unless there are more than this many for each repeated validation row."""


def shared_rows(report: Report) -> Iterator[Finding]:
    """Validation rows that are training rows: a warning from 1%, an error from 10%, info where repeats are common."""
    cases: list[Case] = [
        {
            "instance": found.instance,
            "state": found.state,
            "step": found.step,
            "layer": found.layer,
            "n_shared": found.n_shared,
            "n_validation": found.n_validation,
            "n_repeated": found.n_repeated,
            "share": found.n_shared / found.n_validation,
        }
        for found in report.shared_rows
        if found.n_shared >= max(1.0, NOTABLE_SHARE * found.n_validation)
    ]
    if not cases:
        return
    worst = max(cases, key=lambda case: number(case["share"]))
    by_chance = number(worst["n_shared"]) <= CHANCE * number(worst["n_repeated"])
    severity: Severity = "error" if number(worst["share"]) >= NOT_HELD_OUT else "warning"
    meaning = (
        "Rows repeat within the validation data, too, so this may be chance."
        if by_chance
        else "What the network shows on them is not what it does with data it has not seen."
    )
    yield finding(
        "shared_rows",
        "info" if by_chance else severity,
        f"{worst['n_shared']} of {worst['n_validation']} validation rows ({number(worst['share']):.0%}) are training "
        f"rows, the same at {worst['layer']} bit for bit. {meaning}",
        cases,
    )


def ties(report: Report) -> Iterator[Finding]:
    """Layers whose mean depends on the choice among minimum trees by >= .01 (warning), or with >= 1% repeated rows."""
    cases: list[Case] = []
    for separation in report.separations:
        spread = _tie_range(separation)
        repeated = separation.n_duplicates / sum(separation.n_per_class)
        if spread >= TIE_RANGE or repeated >= DUPLICATE_SHARE:
            cases.append(
                {
                    "instance": separation.instance,
                    "state": separation.state,
                    "split": separation.split,
                    "step": separation.step,
                    "layer": separation.layer,
                    "range": spread,
                    "n_duplicates": separation.n_duplicates,
                    "duplicate_share": repeated,
                }
            )
    if cases:
        names = layers_of(cases, report)
        widest = max(number(case["range"]) for case in cases)
        most_repeated = max(number(case["duplicate_share"]) for case in cases)
        yield finding(
            "ties",
            "warning" if widest >= TIE_RANGE else "info",
            f"{listed(names)} {verb(names, 'has', 'have')} repeated or equally distant points (up to "
            f"{most_repeated:.0%} repeated rows): single minimum trees differ by up to {rounded(widest, 3)} in the "
            "mean; the average over all of them is reported.",
            cases,
        )


def small_sample(report: Report) -> Iterator[Finding]:
    """Fewer than 80 points in the smallest class (info: fewer folds), fewer than 32 (warning: no subsample test)."""
    n_min = min(min(separation.n_per_class) for separation in report.separations)
    if n_min < SMALLEST_CLASS_FOR_FIVE_FOLDS:
        has_test = n_min >= SMALLEST_CLASS_FOR_FOLDS
        consequence = (
            "subsample tests use fewer folds and have little power"
            if has_test
            else f"subsample tests and intervals need {SMALLEST_CLASS_FOR_FOLDS} and are not available"
        )
        yield finding(
            "small_sample",
            "info" if has_test else "warning",
            f"The smallest class has {n_min} points: {consequence}.",
            [{"n_min": n_min, "needed": SMALLEST_CLASS_FOR_FIVE_FOLDS}],
        )


def unequal_classes(report: Report) -> Iterator[Finding]:
    """Class sizes differ within the report: every pair then estimates a divergence of its own."""
    sizes = {size for separation in report.separations for size in separation.n_per_class}
    if len(sizes) > 1:
        yield finding(
            "unequal_classes",
            "warning",
            f"Classes have between {min(sizes)} and {max(sizes)} points: the statistic depends on these numbers, so "
            "class pairs, and training with validation, are only roughly comparable.",
            [{"smallest": min(sizes), "largest": max(sizes)}],
        )


def shift(report: Report) -> Iterator[Finding]:
    """Training and validation points of one class differ (Holm over the layers of a network, .05), where asked for."""
    cases: list[Case] = []
    for network in networks(report):
        asked = [
            found
            for found in report.diagnostics
            if (found.instance, found.state, found.step) == (network.instance, network.state, network.step)
        ]
        gaps = {row.output_layer for row in rows(report, "generalization_gap", network) if is_significant(row)}
        for found, p_value in zip(asked, holm([found.p_value for found in asked]), strict=True):
            if p_value is not None and p_value <= LEVEL:
                cases.append(
                    {
                        "instance": network.instance,
                        "state": network.state,
                        "step": network.step,
                        "layer": found.layer,
                        "statistic": found.statistic,
                        "p_adjusted": p_value,
                        "gap": found.layer in gaps,
                    }
                )
    if cases:
        names = layers_of(cases, report)
        without_gap = layers_of([case for case in cases if not case["gap"]], report)
        meaning = (
            f" In {listed(without_gap)} this is no difference in class separation: the two sets differ, which is not "
            "memorization."
            if without_gap
            else ""
        )
        yield finding(
            "shift",
            "info",
            f"Training and validation points of the same class differ in {listed(names)}.{meaning}",
            cases,
        )


def _tie_range(separation: Separation) -> float:
    """Range of the mean statistic over all minimum spanning trees."""
    pairs = separation.pairs
    columns = zip(pairs.cross_edges_min, pairs.cross_edges_max, pairs.n_a, pairs.n_b, strict=True)
    return sum((most - least) * (m + n) / (2 * m * n) for least, most, m, n in columns) / len(pairs.statistic)
