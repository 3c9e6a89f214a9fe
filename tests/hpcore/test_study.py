"""The tables of a study: which tests it holds, their numbers, and what is said where there is none."""

import itertools
import math
from collections import Counter
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import PairwiseSeparation
from hpcore.errors import InvalidInput
from hpcore.inference import class_jackknife_test, subsample_test
from hpcore.multiplicity import holm
from hpcore.permutation import max_t_p_values, permutation_test
from hpcore.study import (
    LayerMeasurement,
    StateKey,
    StudyResult,
    StudyTest,
    layer_interval,
    layer_tests,
    measure_layer,
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


class TestWhichTests:
    def test_all_tables_of_the_paper(self) -> None:
        components = {"blocks": ["input", "pool", "dense"]}
        tests = layer_tests(full_study(2), components)
        counts = Counter(
            (test.family, test.state, test.split, test.alternative) for test in tests if test.instance == "0"
        )
        assert counts == {
            ("layer_step", "untrained", "train", "two-sided"): 3,  # S-1
            ("layer_step", "untrained", "validation", "two-sided"): 3,
            ("layer_step", "trained", "train", "greater"): 3,  # S-3
            ("layer_step", "trained", "validation", "greater"): 3,  # S-6
            ("component_step", "untrained", "train", "two-sided"): 2,
            ("component_step", "untrained", "validation", "two-sided"): 2,
            ("component_step", "trained", "train", "greater"): 2,  # S-4, S-5
            ("component_step", "trained", "validation", "greater"): 2,  # S-7, S-8
            ("adaptation", "trained", "train", "greater"): 3,  # S-2, without the input
            ("adaptation", "trained", "validation", "greater"): 3,
            ("generalization", "trained", None, "two-sided"): 3,  # S-9
            ("generalization", "untrained", None, "two-sided"): 3,
            ("generalization_gap", "trained", None, "greater"): 4,
            ("generalization_gap", "untrained", None, "greater"): 4,
        }
        assert len(tests) == 2 * sum(counts.values())

    @pytest.mark.parametrize(
        ("kept", "families"),
        [
            ([("trained", "train")], {"layer_step"}),
            ([("trained", "train"), ("untrained", "train")], {"layer_step", "adaptation"}),
            ([("trained", "train"), ("untrained", "validation")], {"layer_step"}),
            (
                [("untrained", "train"), ("untrained", "validation")],
                {"layer_step", "generalization", "generalization_gap"},
            ),
        ],
    )
    def test_a_subset_gives_what_it_allows(self, kept: list[tuple[str, str]], families: set[str]) -> None:
        study = {key: layers for key, layers in full_study().items() if (key.state, key.split) in kept}
        assert {test.family for test in layer_tests(study)} == families

    def test_one_layer_has_levels_but_no_steps(self) -> None:
        study = {key: {"embedding": layers["dense"]} for key, layers in full_study().items()}
        assert {test.family for test in layer_tests(study)} == {"adaptation", "generalization_gap"}

    def test_a_first_layer_that_did_change_is_kept(self) -> None:
        study = full_study()
        study[StateKey("0", "trained", "train")]["input"] = measured(np.random.default_rng(9))
        adapted = pick(layer_tests(study), "adaptation", split="train")
        assert [test.output_layer for test in adapted] == LAYERS

    def test_a_series_of_steps_shares_its_untrained_state(self) -> None:
        generator = np.random.default_rng(1)
        study = {
            StateKey("0", state, "train", step): {name: measured(generator) for name in LAYERS}
            for state, step in (("untrained", 0), ("trained", 100), ("trained", 200))
        }
        adapted = pick(layer_tests(study), "adaptation")
        assert Counter(test.step for test in adapted) == {100: 4, 200: 4}

    def test_a_gap_compares_one_moment_of_training(self) -> None:
        generator = np.random.default_rng(2)
        study = {
            StateKey("0", "trained", split, step): {name: measured(generator) for name in LAYERS}
            for split, step in (("train", 100), ("train", 200), ("validation", 200))
        }
        assert {test.step for test in pick(layer_tests(study), "generalization_gap")} == {200}

    def test_components_skip_a_state_that_lacks_them(self) -> None:
        study = full_study()
        del study[StateKey("0", "untrained", "train")]["pool"]
        tests = layer_tests(study, {"blocks": ["input", "pool", "dense"]})
        steps = pick(tests, "component_step", state="untrained", split="train")
        assert [(test.input_layer, test.output_layer) for test in steps] == [("input", "dense")]

    @pytest.mark.parametrize("path", [["input", "flatten"], ["input"]])
    def test_impossible_components_are_refused(self, path: list[str]) -> None:
        with pytest.raises(InvalidInput, match="`components` entry 'blocks'"):
            layer_tests(full_study(), {"blocks": path})


class TestTelescoping:
    @settings(max_examples=10)  # each example is a whole study
    @given(seed=st.integers(0, 1000))
    def test_identities_of_the_tables(self, seed: int) -> None:
        tests = layer_tests(
            full_study(seed=seed), {"all": ["input", "dense"], "two": ["input", "pool", "dense"]}, n_resamples=1
        )

        def steps(state: str, split: str) -> dict[str, float]:
            found = pick(tests, "layer_step", state=state, split=split)
            return {test.output_layer: test.difference for test in found}

        trained, untrained = steps("trained", "train"), steps("untrained", "train")
        validation = steps("trained", "validation")
        (whole,) = pick(tests, "component_step", component="all", state="trained", split="train")
        assert whole.difference == pytest.approx(math.fsum(trained.values()), abs=1e-12)
        first, second = pick(tests, "component_step", component="two", state="trained", split="train")
        assert first.difference == pytest.approx(trained["conv"] + trained["pool"], abs=1e-12)
        assert second.difference == pytest.approx(trained["dense"], abs=1e-12)
        for test in pick(tests, "generalization", state="trained"):
            expected = trained[test.output_layer] - validation[test.output_layer]
            assert test.difference == pytest.approx(expected, abs=1e-12)
        adapted = {test.output_layer: test.difference for test in pick(tests, "adaptation", split="train")}
        for before, after in itertools.pairwise(["conv", "pool", "dense"]):
            expected = trained[after] - untrained[after]
            assert adapted[after] - adapted[before] == pytest.approx(expected, abs=1e-12)
        gap = {test.output_layer: test.difference for test in pick(tests, "generalization_gap", state="trained")}
        for test in pick(tests, "generalization", state="trained"):
            assert test.input_layer is not None
            expected = gap[test.output_layer] - gap[test.input_layer]
            assert test.difference == pytest.approx(expected, abs=1e-12)


class TestNumbers:
    def test_layer_step(self) -> None:
        study = full_study()
        layers = study[StateKey("0", "trained", "train")]
        test = pick(layer_tests(study), "layer_step", state="trained", split="train")[1]
        after, before = layers["pool"], layers["conv"]
        difference = after.separation.statistic.mean() - before.separation.statistic.mean()
        assert test.difference == pytest.approx(difference, abs=1e-14)

        assert after.fold_means is not None
        assert before.fold_means is not None
        expected = subsample_test(difference, after.fold_means - before.fold_means, alternative="greater")
        subsample = result_of(test, "subsample")
        assert subsample.p_value == pytest.approx(expected.p_value, rel=1e-9)
        assert subsample.low == pytest.approx(expected.low)
        assert subsample.estimand == "these_classes"

        permutation = result_of(test, "permutation")
        edges = permutation_test(after.separation.cross_edges, before.separation.cross_edges, alternative="less")
        assert permutation.p_value == pytest.approx(edges.p_value, rel=1e-12)
        assert permutation.exact
        assert permutation.estimand == "exchangeable_pairs"

        jackknife = class_jackknife_test(
            after.separation.statistic, before.separation.statistic, after.separation.pairs, alternative="greater"
        )
        assert result_of(test, "class_jackknife").p_value == pytest.approx(jackknife.p_value)

    def test_generalization_adds_the_variances_of_both_splits(self) -> None:
        study = full_study()
        test = pick(layer_tests(study), "generalization", state="trained")[0]
        folds, values = {}, {}
        for split in ("train", "validation"):
            layers = study[StateKey("0", "trained", split)]
            after, before = layers["conv"], layers["input"]
            assert after.fold_means is not None
            assert before.fold_means is not None
            folds[split] = after.fold_means - before.fold_means
            values[split] = after.separation.statistic - before.separation.statistic
        expected = subsample_test(
            test.difference, folds["train"], independent_fold_statistics=folds["validation"]
        ).p_value
        assert result_of(test, "subsample").p_value == pytest.approx(expected)
        permuted = permutation_test(values["train"], values["validation"]).p_value
        assert result_of(test, "permutation").p_value == pytest.approx(permuted)

    def test_holm_within_one_table(self) -> None:
        tests = layer_tests(full_study(2))
        family = pick(tests, "layer_step", instance="1", state="untrained", split="train")
        for method in ("subsample", "permutation", "class_jackknife"):
            raw = [result_of(test, method).p_value for test in family]
            assert [result_of(test, method).p_adjusted for test in family] == pytest.approx(holm(raw))
            assert {result_of(test, method).adjustment for test in family} == {"holm"}

    def test_benjamini_hochberg_on_request(self) -> None:
        results = layer_tests(full_study(), adjustment="benjamini_hochberg")[0].results
        assert {result.adjustment for result in results} == {"benjamini_hochberg"}
        with pytest.raises(InvalidInput, match="`adjustment`"):
            layer_tests(full_study(), adjustment="bonferroni")  # type: ignore[arg-type]  # wrong on purpose

    def test_few_draws_are_adjusted_by_max_t(self) -> None:
        study = {StateKey("0", "untrained", "train"): full_study()[StateKey("0", "untrained", "train")]}
        values = [layer.separation.statistic for layer in study[StateKey("0", "untrained", "train")].values()]
        tests = layer_tests(study, method="monte_carlo", n_resamples=39, seed=5)
        results = [result_of(test, "permutation") for test in tests]
        expected = max_t_p_values(np.array(values[1:]), np.array(values[:-1]), n_resamples=39, rng=5)
        assert {result.adjustment for result in results} == {"max_t"}
        assert [result.p_adjusted for result in results] == pytest.approx(expected.tolist())
        enough = layer_tests(study, method="monte_carlo", n_resamples=99, seed=5)
        assert {result_of(test, "permutation").adjustment for test in enough} == {"holm"}

    def test_same_seed_same_answer(self) -> None:
        first = layer_tests(full_study(), method="monte_carlo", n_resamples=200, seed=3)
        assert first == layer_tests(full_study(), method="monte_carlo", n_resamples=200, seed=3)
        assert first != layer_tests(full_study(), method="monte_carlo", n_resamples=200, seed=4)

    @pytest.mark.parametrize(("n_classes", "asked", "shown"), [(3, None, False), (3, True, True), (5, False, False)])
    def test_class_jackknife_from_five_classes_or_on_request(
        self, n_classes: int, asked: bool | None, shown: bool
    ) -> None:
        generator = np.random.default_rng(0)
        study = {StateKey("0", "trained", "train"): {x: measured(generator, n_classes=n_classes) for x in LAYERS}}
        methods = {result.method for result in layer_tests(study, class_jackknife=asked)[0].results}
        assert ("class_jackknife" in methods) == shown


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
