"""Layers that are measured from points: through every test, their folds, and their intervals."""

import numpy as np

from hpcore.study import (
    StateKey,
    layer_interval,
    layer_tests,
    measure_layer,
)
from tests.hpcore.made_studies import Study, measured


class TestMeasureLayer:
    def test_real_layers_end_to_end(self) -> None:
        """A layer that spreads the classes is found by every method; one that only rescales changes nothing."""
        generator = np.random.default_rng(0)
        labels = np.repeat(np.arange(5), 80)
        points = generator.normal(size=(400, 4))
        means = generator.normal(size=(5, 4))
        layers = {
            "raw": points + 0.5 * means[labels],
            "rescaled": 3 * (points + 0.5 * means[labels]) + 1,
            "spread": points + 1.5 * means[labels],
        }
        study = {
            StateKey("0", "trained", "train"): {
                name: measure_layer(values, labels, device="cpu", seed=1) for name, values in layers.items()
            }
        }
        nothing, spread = layer_tests(study)
        assert nothing.difference == 0.0
        for result in nothing.results:
            assert result.p_value is not None
            assert result.p_value > 0.5
        for result in spread.results:
            assert result.p_value is not None
            assert result.p_value < 0.01
        interval = layer_interval(study[StateKey("0", "trained", "train")]["raw"])
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low < layers_mean(study, "raw") < interval.high

    def test_folds_follow_the_smallest_class(self) -> None:
        generator = np.random.default_rng(1)
        for sizes, shape in (((80, 90), (10, 5)), ((40, 90), (10, 2)), ((30, 90), None)):
            labels = np.repeat(np.arange(2), sizes)
            layer = measure_layer(generator.normal(size=(labels.size, 2)), labels, device="cpu")
            assert (None if layer.fold_means is None else layer.fold_means.shape) == shape
        labels = np.repeat(np.arange(2), 80)
        assert measure_layer(generator.normal(size=(160, 2)), labels, folds=False, device="cpu").fold_means is None

    def test_interval_says_why_it_is_missing(self) -> None:
        generator = np.random.default_rng(2)
        small = layer_interval(measured(generator, n=20, folds=False))
        assert small.low is None
        assert small.reason is not None
        assert "20 points" in small.reason
        saturated = layer_interval(measured(generator, low=1, high=2))
        assert saturated.reason is not None
        assert saturated.reason.startswith("saturated")


def layers_mean(study: Study, name: str) -> float:
    return study[StateKey("0", "trained", "train")][name].mean
