"""Studies made of chosen means, without any points, and their reports."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from contract.schemas import InputReference, Provenance, Report
from hpcore import PairwiseSeparation
from hpcore.study import LayerMeasurement, StateKey, layer_tests
from worker.measuring import Measured
from worker.reporting import separation as separation_model
from worker.reporting import test_row as row_model

LAYERS = ["0.Input", "1.Conv", "2.Dense", "3.Softmax"]
CLASSES = [f"digit {i}" for i in range(6)]
ARTIFACT = "sha256:" + "0" * 64


def measured(
    mean: float,
    *,
    n: int = 100,
    seed: int = 0,
    shift: Mapping[int, int] | None = None,
    tie_range: int = 0,
    n_duplicates: int = 0,
    counts: Sequence[int] | None = None,
) -> LayerMeasurement:
    """A layer with about this mean: pairs that vary by two cross edges, folds by .02, unless it is at the ceiling."""
    generator = np.random.default_rng(seed)
    pairs = np.array(list(itertools.combinations(range(len(CLASSES)), 2)))
    cross_edges = np.full(len(pairs), round(n * (1 - mean)), dtype=float)
    if cross_edges[0] > 3:
        cross_edges += generator.integers(-2, 3, len(pairs))
    for pair, edges in (shift or {}).items():
        cross_edges[pair] += edges
    sizes = np.full(len(CLASSES), n) if counts is None else np.array(counts)
    m, k = sizes[pairs[:, 0]], sizes[pairs[:, 1]]
    statistic = 1 - cross_edges * (m + k) / (2 * m * k)
    return LayerMeasurement(
        separation=PairwiseSeparation(
            classes=np.array(CLASSES),
            pairs=pairs,
            statistic=statistic,
            cross_edges=cross_edges,
            cross_edges_min=cross_edges.astype(np.int64) - tie_range,
            cross_edges_max=cross_edges.astype(np.int64) + tie_range,
            counts=np.stack([m, k], axis=1),
            z=-statistic * np.sqrt(2 * n),
            p_value=scipy.stats.norm.cdf(-statistic * np.sqrt(2 * n)),
            n_duplicates=n_duplicates,
            n_zero_rows=0,
            device="cpu",
            metric="euclidean",
            ties="average",
        ),
        fold_means=None if n < 32 else statistic.mean() + generator.normal(scale=0.02, size=(10, 5)),
    )


Study = Mapping[tuple[str, str, str], Mapping[str, LayerMeasurement]]


def report_of(study: Study) -> Report:
    keyed = {StateKey(*key): layers for key, layers in study.items()}
    return Report(
        schema="interlayer-report",
        provenance=Provenance(
            inputs=[],
            versions={},
            estimator="",
            metric="euclidean",
            ties="average",
            seed=0,
            sampling={},
            tests={},
        ),
        classes=CLASSES,
        layers=LAYERS,
        separations=[
            separation_model(
                InputReference(artifact=ARTIFACT, instance=key.instance, state=key.state, split=key.split),
                layer,
                64,
                CLASSES,
                Measured(measurement),
            )
            for key, layers in keyed.items()
            for layer, measurement in layers.items()
        ],
        tests=[row_model(test) for test in layer_tests(keyed)],
        findings=[],
        warnings=[],
    )


def network(
    train: Sequence[float],
    validation: Sequence[float] | None = None,
    untrained: Sequence[float] | None = None,
    *,
    n: int = 100,
    instance: str = "0",
) -> dict[tuple[str, str, str], dict[str, LayerMeasurement]]:
    """One trained network by the mean of each layer, and its untrained twin on the same splits."""
    study = {}
    for offset, split, means in ((0, "train", train), (50, "validation", validation)):
        if means is not None:
            study[instance, "trained", split] = {
                layer: measured(mean, n=n, seed=offset + i)
                for i, (layer, mean) in enumerate(zip(LAYERS, means, strict=True))
            }
            if untrained is not None:
                study[instance, "untrained", split] = {
                    layer: measured(mean, n=n, seed=offset + 20 + i)
                    for i, (layer, mean) in enumerate(zip(LAYERS, untrained, strict=True))
                }
    return study
