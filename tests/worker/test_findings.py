"""Every finding: a report in which it fires, and one in which it must not."""

import itertools
import json
from dataclasses import replace

import pytest

from contract.schemas import Diagnostic, Finding, OverallTest
from tests.worker.studies import CLASSES, LAYERS, Study, measured, network, report_of
from worker.findings import findings


def by_code(study: Study) -> dict[str, Finding]:
    found = findings(report_of(study))
    codes = [finding.code for finding in found]
    assert len(codes) == len(set(codes)), "one finding per code"
    for finding in found:
        json.dumps(finding.evidence, allow_nan=False)
        assert finding.evidence["cases"]
        assert finding.message.endswith(".")
    return {finding.code: finding for finding in found}


def cases(finding: Finding) -> list[dict[str, object]]:
    found = finding.evidence["cases"]
    assert isinstance(found, list)
    return [dict(case) for case in found if isinstance(case, dict)]


RANDOM_LABELS = network([0.05, 0.1, 0.6, 0.99], [0.01, 0.0, -0.02, -0.05], [0.05, 0.05, 0.03, 0.02])
TRUE_LABELS = network([0.7, 0.8, 0.9, 0.96], [0.7, 0.79, 0.88, 0.91], [0.7, 0.7, 0.68, 0.5])
NOISY = network([0.29, 0.35, 0.7, 0.99], [0.33, 0.35, 0.34, 0.33])


class TestMemorization:
    def test_random_labels_first_of_all(self) -> None:
        finding = findings(report_of(RANDOM_LABELS))[0]
        assert finding.code == "memorization"
        assert finding.severity == "error"
        (case,) = cases(finding)
        assert case["layers"] == ["2.Dense", "3.Softmax"]
        assert case["layer"] == "3.Softmax"
        assert case["train"] == pytest.approx(0.99)
        assert case["validation"] == pytest.approx(-0.05, abs=0.02)
        assert "0.99" in finding.message

    @pytest.mark.parametrize("study", [TRUE_LABELS, NOISY, network([0.05, 0.1, 0.6, 0.99])])
    def test_not_where_validation_is_separated_or_missing(self, study: Study) -> None:
        assert "memorization" not in by_code(study)

    def test_not_for_untrained_networks(self) -> None:
        study = {(i, "untrained", split): layers for (i, _, split), layers in RANDOM_LABELS.items()}
        assert "memorization" not in by_code(study)

    def test_counts_networks(self) -> None:
        second = {("1", state, split): layers for (_, state, split), layers in TRUE_LABELS.items()}
        finding = by_code({**RANDOM_LABELS, **second})["memorization"]
        assert finding.message.startswith("1 of 2 trained networks")


class TestGeneralizationGap:
    def test_where_it_sits(self) -> None:
        finding = by_code(NOISY)["generalization_gap"]
        assert finding.severity == "warning"
        (case,) = cases(finding)
        assert case["layers"] == ["2.Dense", "3.Softmax"]
        assert case["gap"] == pytest.approx(0.66, abs=0.02)
        assert "1.Conv → 2.Dense" in str(case["steps"])

    def test_a_small_gap_is_no_warning(self) -> None:
        study = network([0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.73])
        assert by_code(study)["generalization_gap"].severity == "info"

    def test_not_without_a_gap(self) -> None:
        assert "generalization_gap" not in by_code(network([0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.8]))

    def test_not_where_validation_is_better(self) -> None:
        assert "generalization_gap" not in by_code(network([0.2, 0.3, 0.3, 0.4], [0.4, 0.5, 0.6, 0.7]))


class TestSeparation:
    def test_first_layer_on_held_out_data(self) -> None:
        finding = by_code(network([0.5, 0.6, 0.7, 0.8], [0.0, 0.0, 0.3, 0.5]))["first_separation"]
        (case,) = cases(finding)
        assert (case["layer"], case["split"]) == ("2.Dense", "validation")

    def test_none_at_all(self) -> None:
        found = by_code(network([0.5, 0.6, 0.7, 0.8], [0.0, 0.0, -0.01, 0.01]))
        assert found["no_separation"].severity == "warning"
        assert "first_separation" not in found

    def test_not_where_a_layer_separates(self) -> None:
        assert "no_separation" not in by_code(network([0.0, 0.0, 0.0, 0.3]))

    def test_small_classes_fall_back_on_the_overall_test(self) -> None:
        report = report_of(network([0.0, 0.0, 0.9, 0.95], n=20))
        separations = [
            found.model_copy(update={"any_separation": OverallTest(statistic=0.2, p_value=p)})
            for found, p in zip(report.separations, (0.3, 0.001, 0.001, 0.001), strict=True)
        ]
        found = {f.code: f for f in findings(report.model_copy(update={"separations": separations}))}
        assert [case["layer"] for case in cases(found["first_separation"])] == ["1.Conv"]

    def test_and_else_on_pairs(self) -> None:
        found = by_code(network([0.0, 0.0, 0.9, 0.95], n=20))
        (case,) = cases(found["first_separation"])
        assert case["layer"] == "2.Dense"


class TestAdaptation:
    def test_first_improved_layer(self) -> None:
        finding = by_code(TRUE_LABELS)["adaptation"]
        (case,) = cases(finding)
        assert case["layer"] == "1.Conv"
        assert finding.severity == "info"

    def test_training_that_changed_nothing(self) -> None:
        found = by_code(network([0.5, 0.5, 0.5, 0.5], None, [0.5, 0.5, 0.5, 0.5]))
        assert found["no_adaptation"].severity == "warning"
        assert "adaptation" not in found

    def test_nothing_said_without_an_untrained_twin(self) -> None:
        assert not {"adaptation", "no_adaptation"} & set(by_code(NOISY))


class TestLayers:
    def test_idle(self) -> None:
        finding = by_code(network([0.5, 0.5, 0.7, 0.8]))["idle_layers"]
        assert [case["layer"] for case in cases(finding)] == ["1.Conv"]

    def test_identical_layers_are_idle_even_where_saturated(self) -> None:
        study = network([0.2, 0.5, 0.99, 0.99])
        layers = study["0", "trained", "train"]
        layers["3.Softmax"] = layers["2.Dense"]
        assert [case["layer"] for case in cases(by_code(study)["idle_layers"])] == ["3.Softmax"]

    def test_not_where_every_layer_works(self) -> None:
        assert "idle_layers" not in by_code(network([0.2, 0.4, 0.6, 0.8]))

    def test_idle_in_one_network_of_two_is_not_idle(self) -> None:
        study = {**network([0.5, 0.5, 0.7, 0.8]), **network([0.3, 0.5, 0.7, 0.8], instance="1")}
        assert "idle_layers" not in by_code(study)
        both = {**network([0.5, 0.5, 0.7, 0.8]), **network([0.5, 0.5, 0.6, 0.8], instance="1")}
        assert [case["instance"] for case in cases(by_code(both)["idle_layers"])] == ["0", "1"]

    def test_losing(self) -> None:
        finding = by_code(network([0.5, 0.7, 0.8, 0.6]))["losing_layers"]
        assert finding.severity == "warning"
        (case,) = cases(finding)
        assert (case["input_layer"], case["layer"]) == ("2.Dense", "3.Softmax")

    def test_not_losing_where_steps_gain_or_stand_still(self) -> None:
        study = network([0.2, 0.5, 0.7, 0.7])
        layers = study["0", "trained", "train"]
        layers["3.Softmax"] = layers["2.Dense"]
        assert "losing_layers" not in by_code(study)

    def test_not_losing_by_chance(self) -> None:
        assert "losing_layers" not in by_code(network([0.5, 0.49, 0.5, 0.49]))

    def test_saturation(self) -> None:
        finding = by_code(network([0.2, 0.5, 0.7, 0.99]))["saturation"]
        assert [case["layer"] for case in cases(finding)] == ["3.Softmax"]
        assert cases(finding)[0]["ceiling"] == 0.99

    def test_no_saturation_below_the_ceiling(self) -> None:
        assert "saturation" not in by_code(network([0.2, 0.5, 0.7, 0.95]))

    def test_few_edges_in_small_classes_are_not_saturation(self) -> None:
        """Four points per class and no separation: few cross edges, but far from the ceiling."""
        assert "saturation" not in by_code(network([0.6, 0.6, 0.6, 0.6], n=4))


class TestPairs:
    def behind(self, edges: int) -> Study:
        study = network([0.2, 0.5, 0.7, 0.8])
        study["0", "trained", "train"]["3.Softmax"] = measured(0.8, seed=3, shift={7: edges})
        return study

    def test_a_pair_far_behind_is_named(self) -> None:
        finding = by_code(self.behind(45))["worst_class_pairs"]
        (case,) = cases(finding)
        pair = list(itertools.combinations(CLASSES, 2))[7]
        assert [(p["class_a"], p["class_b"]) for p in case["pairs"]] == [pair]  # type: ignore[attr-defined]  # a list of pairs
        assert f"{pair[0]} – {pair[1]}" in finding.message

    def test_not_within_noise(self) -> None:
        assert "worst_class_pairs" not in by_code(self.behind(12))

    def test_not_without_separation(self) -> None:
        study = network([0.0, 0.0, 0.0, 0.0])
        study["0", "trained", "train"]["3.Softmax"] = measured(0.0, seed=3, shift={7: 40})
        assert "worst_class_pairs" not in by_code(study)


class TestData:
    def test_ties_that_move_the_mean(self) -> None:
        study = network([0.2, 0.5, 0.7, 0.8])
        study["0", "trained", "train"]["2.Dense"] = measured(0.7, tie_range=2)
        finding = by_code(study)["ties"]
        assert finding.severity == "warning"
        assert cases(finding)[0]["range"] == pytest.approx(0.04)

    def test_duplicates_alone_are_information(self) -> None:
        study = network([0.2, 0.5, 0.7, 0.8])
        study["0", "trained", "train"]["2.Dense"] = measured(0.7, n_duplicates=30)
        assert by_code(study)["ties"].severity == "info"

    def test_not_for_a_handful_of_duplicates(self) -> None:
        study = network([0.2, 0.5, 0.7, 0.8])
        study["0", "trained", "train"]["2.Dense"] = measured(0.7, n_duplicates=3)
        assert "ties" not in by_code(study)

    @pytest.mark.parametrize(("n", "severity"), [(79, "info"), (32, "info"), (31, "warning")])
    def test_small_sample(self, n: int, severity: str) -> None:
        assert by_code(network([0.2, 0.5, 0.7, 0.8], n=n))["small_sample"].severity == severity

    def test_not_a_small_sample(self) -> None:
        assert "small_sample" not in by_code(network([0.2, 0.5, 0.7, 0.8], n=80))

    def test_unequal_classes(self) -> None:
        study = network([0.2, 0.5, 0.7, 0.8])
        study["0", "trained", "train"]["2.Dense"] = measured(0.7, counts=[100, 100, 90, 100, 100, 100])
        assert by_code(study)["unequal_classes"].severity == "warning"

    def test_not_unequal(self) -> None:
        assert "unequal_classes" not in by_code(TRUE_LABELS)


class TestShift:
    def found(self, study: Study, p_value: float | None) -> list[Finding]:
        report = report_of(study)
        diagnostics = [
            Diagnostic(
                code="shift", instance="0", state="trained", step=None, layer=layer, statistic=4.0, p_value=p_value
            )
            for layer in LAYERS
        ]
        found = findings(report.model_copy(update={"diagnostics": diagnostics}))
        return [finding for finding in found if finding.code == "shift"]

    def test_a_shift_without_a_gap_is_called_so(self) -> None:
        study = network([0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.8])
        (finding,) = self.found(study, 1e-6)
        assert "which is not memorization" in finding.message
        assert [case["gap"] for case in cases(finding)] == [False] * 4

    def test_a_gap_everywhere_is_not_excused(self) -> None:
        (finding,) = self.found(network([0.5, 0.6, 0.7, 0.8], [0.1, 0.2, 0.3, 0.4]), 1e-6)
        assert "memorization" not in finding.message

    @pytest.mark.parametrize("p_value", [0.02, 0.5, None])
    def test_not_without_significance_over_the_layers(self, p_value: float | None) -> None:
        assert self.found(network([0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.8]), p_value) == []


class TestReading:
    def test_gravest_first(self) -> None:
        order = ["error", "warning", "info"]
        severities = [order.index(finding.severity) for finding in findings(report_of(RANDOM_LABELS))]
        assert severities == sorted(severities)

    def test_a_healthy_network_has_no_complaint(self) -> None:
        study = network([0.3, 0.5, 0.7, 0.85], [0.3, 0.5, 0.7, 0.84], [0.3, 0.3, 0.28, 0.25])
        assert {finding.severity for finding in findings(report_of(study))} <= {"info"}

    def test_the_report_is_not_changed_and_old_findings_are_not_read(self) -> None:
        report = report_of(RANDOM_LABELS)
        before = report.to_bytes()
        found = findings(report)
        assert report.to_bytes() == before
        assert findings(report.model_copy(update={"findings": found})) == found

    def test_untrained_alone_has_only_data_findings(self) -> None:
        study = {("0", "untrained", "train"): RANDOM_LABELS["0", "untrained", "train"]}
        assert by_code(study) == {}

    def test_missing_folds_do_not_break_any_rule(self) -> None:
        study = {
            key: {layer: replace(measurement, fold_means=None) for layer, measurement in layers.items()}
            for key, layers in RANDOM_LABELS.items()
        }
        assert "memorization" in by_code(study)
