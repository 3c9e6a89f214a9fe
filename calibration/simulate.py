"""Repeat a scenario and count rejections."""

import zlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.grid import scenarios
from calibration.scenarios import Sample, Scenario
from hpcore._result import TestResult
from hpcore.inference import class_jackknife_test, subsample_test
from hpcore.membership import membership_test, shift_test
from hpcore.permutation import permutation_test
from hpcore.study import LayerMeasurement, measure_layer

Floats = NDArray[np.float64]

_RESAMPLES = 199
"""Draws of the membership tests: enough for a level of .01, and cheap."""


@dataclass(frozen=True)
class Outcome:
    """What one method did in one scenario.

    `variance_ratio` is the mean estimated variance over the variance seen between repetitions, `coverage` the share of
    95 % intervals that hold the mean difference over all repetitions; None for methods that have neither.
    """

    scenario: str
    kind: str
    truth: str
    n_classes: int
    n: str
    dimension: int
    method: str
    repeats: int
    available: int
    rejected_05: float
    rejected_01: float
    mean_difference: float
    variance_ratio: float | None
    coverage: float | None

    @property
    def standard_error(self) -> float:
        """Of the rejection rate at .05; never zero, so that no rejection is not certainty."""
        rate = (self.rejected_05 * self.available + 1) / (self.available + 2)
        return float(np.sqrt(rate * (1 - rate) / max(1, self.available)))


Draw = dict[str, TestResult]


def run(place: int, *, repeats: int | None = None, seed: int = 0, executor: Executor | None = None) -> list[Outcome]:
    """Simulate one scenario of the grid; the answer depends on its name, the seed and the number of repeats alone."""
    scenario = scenarios()[place]
    total = scenario.repeats if repeats is None else repeats
    tasks = [(place, seed, i) for i in range(total)]
    if executor is None:
        draws = [repetition(task) for task in tasks]
    else:
        draws = list(executor.map(repetition, tasks, chunksize=max(1, total // 16)))
    return [_outcome(scenario, method, [draw[method] for draw in draws]) for method in draws[0]]


def repetition(task: tuple[int, int, int]) -> Draw:
    """One data set of a scenario and every test of it."""
    place, seed, i = task
    scenario = scenarios()[place]
    name = f"{scenario.kind} {scenario.truth} {scenario.name} {scenario.n_classes}"
    generator = np.random.default_rng([seed, zlib.crc32(name.encode()), i])
    sample = scenario.draw(scenario, generator)
    fold_seed = int(generator.integers(2**31))
    first, second = (
        measure_layer(values, labels, n_threads=1, device="cpu", seed=fold_seed)
        for values, labels in ((sample.first, sample.labels_first), (sample.second, sample.labels_second))
    )
    if scenario.kind == "step":
        return step_tests(first, second)
    return gap_tests(first, second, sample, generator)


def step_tests(first: LayerMeasurement, second: LayerMeasurement) -> Draw:
    """Two-sided tests of the step from `first` to `second`, and one that should not be used."""
    a, b = second.separation.statistic, first.separation.statistic
    assert first.fold_means is not None, "every scenario has enough points for folds"
    assert second.fold_means is not None, "every scenario has enough points for folds"
    tests = {
        "subsample": subsample_test(second.mean - first.mean, second.fold_means - first.fold_means),
        "class_jackknife": class_jackknife_test(a, b, first.separation.pairs),
        "permutation": permutation_test(a, b, n_resamples=999, rng=0),
        "sign_flip": permutation_test(a, b, paired=True, n_resamples=999, rng=0),
    }
    if first.separation.classes.size < 3:
        del tests["class_jackknife"], tests["permutation"], tests["sign_flip"]  # one pair: nothing to permute
    return tests


def gap_tests(
    train: LayerMeasurement, validation: LayerMeasurement, sample: Sample, generator: np.random.Generator
) -> Draw:
    """One-sided tests of the gap, and the diagnosis of a shift, which is none."""
    a, b = train.separation.statistic, validation.separation.statistic
    assert train.fold_means is not None, "every scenario has enough points for folds"
    sets = (sample.first, sample.second, sample.labels_first, sample.labels_second)
    return {
        "subsample": subsample_test(
            train.mean - validation.mean,
            train.fold_means,
            alternative="greater",
            independent_fold_statistics=validation.fold_means,
        ),
        "class_jackknife": class_jackknife_test(a, b, train.separation.pairs, alternative="greater"),
        "permutation": permutation_test(a, b, alternative="greater", n_resamples=999, rng=0),
        "membership_score": membership_test(*sets, method="score", n_resamples=_RESAMPLES, rng=generator),
        "same_class_friedman_rafsky": shift_test(*sets, device="cpu"),
    }


def _outcome(scenario: Scenario, method: str, results: Sequence[TestResult]) -> Outcome:
    p_values = np.array([result.p_value for result in results if result.p_value is not None])
    differences = np.array([result.statistic for result in results])
    ratio = coverage = None
    intervals = [(r.low, r.high) for r in results if r.low is not None and r.high is not None]
    errors = np.array([r.standard_error for r in results if r.standard_error is not None])
    if intervals and differences.size > 1:
        truth = differences.mean()
        coverage = float(np.mean([low <= truth <= high for low, high in intervals]))
        ratio = float(np.square(errors).mean() / differences.var(ddof=1))
    return Outcome(
        scenario=scenario.name,
        kind=scenario.kind,
        truth=scenario.truth,
        n_classes=scenario.n_classes,
        n=scenario.n,
        dimension=scenario.dimension,
        method=method,
        repeats=len(results),
        available=p_values.size,
        rejected_05=float(np.mean(p_values <= 0.05)) if p_values.size else 0.0,
        rejected_01=float(np.mean(p_values <= 0.01)) if p_values.size else 0.0,
        mean_difference=float(differences.mean()),
        variance_ratio=ratio,
        coverage=coverage,
    )
