"""Tests of a study that have no p-value, and what is said instead."""

import math
from typing import Literal

import numpy as np

from hpcore.study import (
    LayerMeasurement,
    StateKey,
    StudyTest,
    layer_tests,
)
from tests.hpcore.made_studies import LAYERS, full_study, measured, pick, result_of, separation


class TestNotAvailable:
    """A missing p-value says why; it is never NaN."""

    def step(
        self, after: LayerMeasurement, before: LayerMeasurement, method: Literal["auto", "exact"] = "auto"
    ) -> StudyTest:
        study = {StateKey("0", "trained", "train"): {"before": before, "after": after}}
        (test,) = layer_tests(study, method=method, n_resamples=99)
        return test

    def test_too_few_points(self) -> None:
        generator = np.random.default_rng(0)
        result = result_of(
            self.step(measured(generator, n=31, folds=False), measured(generator, n=31, folds=False)), "subsample"
        )
        assert result.p_value is None
        assert result.p_adjusted is None
        assert result.reason is not None
        assert "31 points" in result.reason

    def test_folds_not_asked_for(self) -> None:
        generator = np.random.default_rng(0)
        result = result_of(self.step(measured(generator, folds=False), measured(generator)), "subsample")
        assert result.reason == "the layers were measured without folds"

    def test_saturated_layer(self) -> None:
        generator = np.random.default_rng(0)
        saturated, other = measured(generator, low=1, high=2), measured(generator)
        test = self.step(saturated, other)
        result = result_of(test, "subsample")
        assert result.p_value is None
        assert result.reason is not None
        assert result.reason.startswith("saturated")
        assert result_of(test, "permutation").p_value is not None

    def test_ten_spare_cross_edges_are_enough(self) -> None:
        ones = np.ones(10)
        for spare, available in ((9, False), (10, True)):
            edges = ones.copy()
            edges[0] += spare
            layer = LayerMeasurement(separation(edges, 100, 5), np.random.default_rng(0).normal(size=(10, 5)))
            result = result_of(self.step(layer, measured(np.random.default_rng(1))), "subsample")
            assert (result.p_value is not None) == available

    def test_no_change_between_saturated_layers_is_an_answer(self) -> None:
        layer = LayerMeasurement(separation(np.ones(10), 100, 5), np.full((10, 5), 0.95))
        assert {result.p_value for result in self.step(layer, layer).results} == {1.0}

    def test_different_classes(self) -> None:
        generator = np.random.default_rng(0)
        study = full_study()
        for name in LAYERS:
            study[StateKey("0", "trained", "validation")][name] = measured(generator, n_classes=4)
        test = pick(layer_tests(study), "generalization_gap", state="trained")[0]
        assert math.isfinite(test.difference)
        for result in test.results:
            assert result.p_value is None
            assert result.reason == "the two sides hold different classes"

    def test_other_images(self) -> None:
        generator = np.random.default_rng(0)
        result = result_of(self.step(measured(generator, n=100), measured(generator, n=90)), "subsample")
        assert result.reason == "the two sides were not measured on the same images"

    def test_exact_out_of_reach(self) -> None:
        generator = np.random.default_rng(0)
        uneven = separation(generator.random(10) * 50, 100, 5)
        layer = LayerMeasurement(uneven, generator.normal(size=(10, 5)))
        test = self.step(layer, measured(generator), method="exact")
        result = result_of(test, "permutation")
        assert result.p_value is None
        assert result.reason is not None
        assert "lattice" in result.reason
        assert result_of(self.step(layer, measured(generator)), "permutation").n_resamples == 99
