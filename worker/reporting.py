"""hpcore's results as the report's models. Nothing is computed here but summaries of the pair values."""

import importlib.metadata
import platform
from collections.abc import Sequence

import numpy as np

import hpcore.trend
from contract.schemas import (
    AnalysisRequest,
    Draws,
    Input,
    InputReference,
    Interval,
    ModelSource,
    OverallTest,
    Pairs,
    Provenance,
    SampleSizeTrend,
    Separation,
    TestResult,
    TestRow,
)
from hpcore.study import StudyResult, StudyTest, layer_interval
from worker.arrays import Array
from worker.measuring import Measured

ESTIMATOR = "1 - R (m + n) / (2 m n), R = cross-class edges of the Euclidean minimum spanning tree, unclipped"
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def provenance(
    request: AnalysisRequest, per_class: int | None, ties: str, sources: Sequence[ModelSource | None]
) -> Provenance:
    """Return what decided the numbers."""
    return Provenance(
        inputs=[
            Input(
                sha256=(item.artifact or "").removeprefix("sha256:"),
                instance=item.instance,
                state=item.state,
                split=item.split,
                step=item.step,
                source=source,
            )
            for item, source in zip(request.inputs, sources, strict=True)
        ],
        versions={
            "interlayer": importlib.metadata.version("interlayer"),
            "numpy": np.__version__,
            "python": ".".join(platform.python_version_tuple()[:2]),
        },
        estimator=ESTIMATOR,
        metric=request.metric,
        ties=ties,
        seed=request.seed,
        sampling={
            "per_class": request.sampling.per_class,
            "rows_per_class": per_class,
            "repeats": request.sampling.repeats,
            "trend": request.sampling.trend,
            "replacement": False,
            **({} if request.sampling.part is None else {"part": request.sampling.part.model_dump()}),
        },
        tests={
            "n_resamples": request.tests.n_resamples,
            "method": request.tests.method,
            "classes": request.tests.classes,
            "adjustment": request.tests.adjustment,
            "membership": request.tests.membership,
            "shift": request.tests.shift,
            "level": 0.05,
        },
    )


def separation(
    item: InputReference, layer: str, dimension: int, classes: Sequence[str], measured: Measured
) -> Separation:
    """Return one layer of one input."""
    measurement = measured.layer
    found = measurement.separation
    values = found.statistic
    interval = layer_interval(measurement)
    first, second = found.pairs[:, 0], found.pairs[:, 1]
    n_per_class = np.zeros(len(classes), dtype=np.int64)
    n_per_class[first], n_per_class[second] = found.counts[:, 0], found.counts[:, 1]
    return Separation(
        instance=item.instance,
        state=item.state,
        split=item.split,
        step=item.step,
        layer=layer,
        dimension=dimension,
        n_classes=len(classes),
        n_per_class=n_per_class.tolist(),
        mean=measurement.mean,
        interval=Interval(
            low=interval.low,
            high=interval.high,
            level=interval.level,
            method=interval.method,
            estimand=interval.estimand,
            reason=interval.reason,
        ),
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
        min=float(values.min()),
        max=float(values.max()),
        quantiles={f"{q:g}": float(v) for q, v in zip(_QUANTILES, np.quantile(values, _QUANTILES), strict=True)},
        n_duplicates=found.n_duplicates,
        n_zero_rows=found.n_zero_rows,
        any_separation=_overall(measured.layer.any_separation),
        trend=_trend(measured.trend),
        draws=_draws(measured.draw_means),
        fold_means=None if measurement.fold_means is None else measurement.fold_means.tolist(),
        pairs=Pairs(
            class_a=[classes[i] for i in first],
            class_b=[classes[i] for i in second],
            n_a=found.counts[:, 0].tolist(),
            n_b=found.counts[:, 1].tolist(),
            cross_edges=found.cross_edges.tolist(),
            cross_edges_min=found.cross_edges_min.tolist(),
            cross_edges_max=found.cross_edges_max.tolist(),
            statistic=values.tolist(),
            z=_finite(found.z),
            p_value=_finite(found.p_value),
        ),
    )


def _overall(test: hpcore.TestResult | None) -> OverallTest | None:
    return None if test is None else OverallTest(statistic=test.statistic, p_value=test.p_value)


def _trend(trend: hpcore.trend.SampleSizeTrend | None) -> SampleSizeTrend | None:
    if trend is None:
        return None
    return SampleSizeTrend(
        n_per_class=list(trend.n_min), means=list(trend.means), limit=trend.limit, reason=trend.reason
    )


def _draws(means: Sequence[float] | None) -> Draws | None:
    if means is None:
        return None
    return Draws(
        count=len(means), mean=float(np.mean(means)), sd=float(np.std(means, ddof=1)), min=min(means), max=max(means)
    )


def _finite(values: Array) -> list[float | None]:
    # A tree whose cross-edge count cannot vary (a star with equal classes) has no z.
    return [float(v) if np.isfinite(v) else None for v in values]


def test_row(test: StudyTest) -> TestRow:
    """Return one contrast with its tests."""
    return TestRow(
        family=test.family,
        instance=test.instance,
        state=test.state,
        split=test.split,
        step=test.step,
        component=test.component,
        input_layer=test.input_layer,
        output_layer=test.output_layer,
        difference=test.difference,
        alternative=test.alternative,
        results=[_test_result(result) for result in test.results],
    )


test_row.__test__ = False  # type: ignore[attr-defined]  # not a pytest function


def _test_result(result: StudyResult) -> TestResult:
    interval = None
    if result.low is not None and result.high is not None:
        interval = Interval(
            low=result.low, high=result.high, level=0.95, method=result.method, estimand=result.estimand
        )
    return TestResult(
        method=result.method,
        estimand=result.estimand,
        p_value=result.p_value,
        p_adjusted=result.p_adjusted,
        adjustment=result.adjustment,
        exact=result.exact,
        n_resamples=result.n_resamples,
        interval=interval,
        reason=result.reason,
    )
