"""A sample report with everything that an analysis may be asked for besides."""

import math
import random

from contract.schemas import Diagnostic, Draws, OverallTest, Report, SampleSizeTrend, Separation, TestResult


def with_questions(report: Report, *, seed: int = 3, membership: str = "membership_score") -> Report:
    """The same report with all that may be asked for: chance, trend, draws, jackknife, membership and shift."""
    draw = random.Random(seed)
    separations = [
        part.model_copy(
            update={
                "any_separation": OverallTest(statistic=0.8 * part.mean, p_value=min(1.0, 0.4 * draw.random() ** 3)),
                "trend": _trend(draw, part),
                "draws": _draws(draw, part),
            }
        )
        for part in report.separations
    ]
    tests = [
        row.model_copy(
            update={
                "results": [
                    *row.results,
                    _result(draw, "class_jackknife", "population_of_classes"),
                    *(
                        [_result(draw, membership, "exchangeable_membership")]
                        if row.family == "generalization_gap"
                        else []
                    ),
                ]
            }
        )
        for row in report.tests
    ]
    gaps = [row for row in report.tests if row.family == "generalization_gap" and row.state]
    diagnostics = [
        Diagnostic(
            code="shift", instance=row.instance, state=row.state, step=row.step, layer=row.output_layer,
            statistic=draw.gauss(1, 2), p_value=draw.random() ** 3,
        )
        for row in gaps
        if row.state
    ]  # fmt: skip
    return report.model_copy(update={"separations": separations, "tests": tests, "diagnostics": diagnostics})


def _trend(draw: random.Random, part: Separation) -> SampleSizeTrend:
    n = min(part.n_per_class)
    means = [part.mean - 0.12 - 0.04 * draw.random(), part.mean - 0.04 * draw.random(), part.mean]
    limit = draw.choice([part.mean + 0.07 * draw.random(), 3.8, None])
    reason = None if limit is not None else "the differences do not shrink"
    return SampleSizeTrend(n_per_class=[n // 4, n // 2, n], means=means, limit=limit, reason=reason)


def _draws(draw: random.Random, part: Separation) -> Draws:
    values = [part.mean, *(part.mean + draw.gauss(0, 0.03) for _ in range(4))]
    mean = sum(values) / 5
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / 4)
    return Draws(count=5, mean=mean, sd=sd, min=min(values), max=max(values))


def _result(draw: random.Random, method: str, estimand: str) -> TestResult:
    p = draw.random() ** 4
    return TestResult.model_validate(
        {
            "method": method, "estimand": estimand, "p_value": p, "p_adjusted": min(1.0, 4 * p), "adjustment": "holm",
            "exact": False, "n_resamples": 999,
        }
    )  # fmt: skip
