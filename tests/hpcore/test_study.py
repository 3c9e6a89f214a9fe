"""The tables of a study: which tests it holds, and their numbers."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcore.errors import InvalidInput
from hpcore.inference import class_jackknife_test, subsample_test
from hpcore.multiplicity import holm
from hpcore.permutation import max_t_p_values, permutation_test
from hpcore.study import (
    StateKey,
    layer_tests,
)
from tests.hpcore.made_studies import LAYERS, full_study, measured, pick, result_of


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
