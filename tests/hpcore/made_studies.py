"""Studies of random cross edges, without any points, and how to find a test in their tables."""

import itertools

import numpy as np
from numpy.typing import NDArray

from hpcore import PairwiseSeparation
from hpcore.study import (
    LayerMeasurement,
    StateKey,
    StudyResult,
    StudyTest,
)

Floats = NDArray[np.float64]
LAYERS = ["input", "conv", "pool", "dense"]


def separation(cross_edges: Floats, n: int, n_classes: int) -> PairwiseSeparation:
    """A result of the kernel with the given cross edges, without running it."""
    pairs = np.array(list(itertools.combinations(range(n_classes), 2)))
    zeros = np.zeros(len(pairs))
    return PairwiseSeparation(
        classes=np.arange(n_classes),
        pairs=pairs,
        statistic=1 - cross_edges / n,
        cross_edges=cross_edges,
        cross_edges_min=cross_edges.astype(np.int64),
        cross_edges_max=cross_edges.astype(np.int64),
        counts=np.full((len(pairs), 2), n),
        z=zeros,
        p_value=zeros + 0.5,
        n_duplicates=0,
        n_zero_rows=0,
        device="cpu",
        metric="euclidean",
        ties="average",
    )


def measured(
    generator: np.random.Generator,
    n: int = 100,
    n_classes: int = 5,
    folds: bool = True,
    low: int = 10,
    high: int = 90,
) -> LayerMeasurement:
    cross_edges = generator.integers(low, high, n_classes * (n_classes - 1) // 2).astype(float)
    means = 1 - cross_edges.mean() / n + generator.normal(scale=0.05, size=(10, 5))
    return LayerMeasurement(separation(cross_edges, n, n_classes), means if folds else None)


Study = dict[StateKey, dict[str, LayerMeasurement]]


def full_study(n_instances: int = 1, seed: int = 0) -> Study:
    """Trained and untrained, train and validation; the input is the same before and after training."""
    generator = np.random.default_rng(seed)
    study: Study = {}
    for instance in range(n_instances):
        for split in ("train", "validation"):
            shared = measured(generator)
            for state in ("untrained", "trained"):
                layers = {name: measured(generator) for name in LAYERS}
                study[StateKey(str(instance), state, split)] = {**layers, "input": shared}
    return study


def pick(tests: list[StudyTest], family: str, **values: object) -> list[StudyTest]:
    return [
        test
        for test in tests
        if test.family == family and all(getattr(test, name) == value for name, value in values.items())
    ]


def result_of(test: StudyTest, method: str) -> StudyResult:
    return next(result for result in test.results if result.method == method)
