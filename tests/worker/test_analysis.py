"""From files to a report, against the slow reference."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.schemas import Report
from tests.worker import files
from tests.worker.analyses import LAYERS, Study, expected_statistic, separation, whole_study
from worker.measuring import Resources
from worker.selection import draw_rows


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_statistics_are_those_of_the_reference(study: Study, metric: str) -> None:
    arrays = files.study_arrays(n_per_class=15)
    report = study.add(arrays).report(metric=metric)
    assert report.layers == LAYERS
    for layer in LAYERS:
        found = separation(report, layer)
        expected = expected_statistic(arrays[layer], arrays["labels"], metric)
        assert found.pairs.statistic == pytest.approx(expected, abs=1e-12)
        assert found.mean == pytest.approx(np.mean(expected), abs=1e-12)
        assert (found.min, found.max) == (min(found.pairs.statistic), max(found.pairs.statistic))
        assert found.sd == pytest.approx(np.std(expected, ddof=1))
        assert found.dimension == arrays[layer].shape[1]
        assert (found.n_classes, found.n_per_class) == (3, [15, 15, 15])
        assert list(zip(found.pairs.class_a, found.pairs.class_b, strict=True)) == [("0", "1"), ("0", "2"), ("1", "2")]


def test_unequal_classes_with_names_keep_their_order_and_sizes(study: Study) -> None:
    points, labels = files.classes_apart(n_per_class=20)
    keep = (labels != 1) | (np.arange(len(labels)) % 2 == 0)
    points, names = points[keep], np.array(["dog", "ant", "cat"])[labels[keep]]
    report = study.add({"labels": names, "layer": points}).report(sampling={"per_class": "all"})
    found = separation(report, "layer")
    assert report.classes == ["ant", "cat", "dog"]
    assert found.n_per_class == [int((names == name).sum()) for name in report.classes]
    assert found.pairs.statistic == pytest.approx(expected_statistic(points, names), abs=1e-12)
    assert (found.pairs.n_a[0], found.pairs.n_b[0]) == (found.n_per_class[0], found.n_per_class[1])
    assert "unequal_classes" in {warning.code for warning in report.warnings}


def test_classes_in_numerical_order(study: Study) -> None:
    _, labels = files.classes_apart(n_per_class=5)
    arrays = {"labels": np.array([10, -2, 9])[labels], "layer": np.random.default_rng(0).normal(size=(15, 2))}
    assert study.add(arrays).report().classes == ["-2", "9", "10"]


class TestSampling:
    points, labels = files.classes_apart(n_per_class=30, seed=3)
    keep = ~((labels == 2) & (np.cumsum(labels == 2) > 18))  # the last class has 18 rows, the others 30
    points, labels = points[keep], labels[keep]

    def arrays(self, shift: float = 0.0) -> dict[str, files.Array]:
        return {"labels": self.labels, "layer": self.points + shift * self.points[:, ::-1]}

    @pytest.mark.parametrize(("rule", "rows"), [("equal", 18), (12, 12)])
    def test_every_class_is_cut_to_the_same_number_by_the_seeded_draw(self, study: Study, rule: Any, rows: int) -> None:
        report = study.add(self.arrays()).report(sampling={"per_class": rule}, seed=5)
        found = separation(report, "layer")
        assert found.n_per_class == [rows] * 3
        used = draw_rows(self.labels, rows, seed=5, split="train")
        assert found.pairs.statistic == pytest.approx(expected_statistic(self.points[used], self.labels[used]))
        assert report.provenance.sampling["per_class"] == rule
        assert report.provenance.sampling["rows_per_class"] == rows
        (warning,) = [warning for warning in report.warnings if warning.code == "rows_sampled"]
        assert warning.message.startswith(f"{len(self.labels) - 3 * rows} rows")

    def test_both_states_of_a_split_use_the_same_rows(self, study: Study) -> None:
        # The untrained network here is a rotation of the trained one: only with the same rows are they equal.
        study.add(self.arrays(), state="trained")
        study.add({"labels": self.labels, "layer": self.points[:, ::-1].copy()}, state="untrained")
        report = study.report(sampling={"per_class": 9})
        one, two = (separation(report, "layer", state=state) for state in ("trained", "untrained"))
        assert one.pairs.statistic == two.pairs.statistic
        assert one.fold_means == two.fold_means

    def test_the_seed_draws(self, study: Study) -> None:
        study.add(self.arrays())
        first, second = (separation(study.report(sampling={"per_class": 9}, seed=seed), "layer") for seed in (0, 1))
        assert first.pairs.statistic != second.pairs.statistic

    def test_equal_is_equal_over_all_inputs(self, study: Study) -> None:
        few = np.concatenate([np.flatnonzero(self.labels == c)[:7] for c in range(3)])
        study.add(self.arrays(), split="train")
        study.add({"labels": self.labels[few], "layer": self.points[few]}, split="validation")
        assert {tuple(s.n_per_class) for s in study.report().separations} == {(7, 7, 7)}

    def test_more_than_there_are_is_refused(self, study: Study) -> None:
        problem = study.add(self.arrays()).refused(sampling={"per_class": 19})
        assert (problem.code, "18 rows" in problem.detail) == ("too_few_samples", True)


class TestWhole:
    def test_the_differences_are_those_of_the_means(self, study: Study) -> None:
        report = whole_study(study).report(components={"blocks": ["0.Input", "2.Softmax"]})
        families: dict[str, int] = {}
        for row in report.tests:
            families[row.family] = families.get(row.family, 0) + 1
            if row.family not in ("layer_step", "component_step"):
                continue
            assert row.input_layer is not None
            role = {"state": row.state, "split": row.split}
            means = [separation(report, layer, **role).mean for layer in (row.input_layer, row.output_layer)]
            assert row.difference == pytest.approx(means[1] - means[0], abs=1e-12)
        assert families["layer_step"] == 2 * 4
        assert families["component_step"] == 1 * 4
        assert families["adaptation"] == 2 * 2, "the two states have the same input layer, which is no adaptation"
        assert families["generalization"] >= 2

    def test_the_same_request_gives_the_same_bytes(self, study: Study) -> None:
        whole_study(study)
        first = study.report(Resources(n_threads=1))
        again = study.report(Resources(n_threads=2, memory_bytes=2**24), on_progress=lambda *_: None)
        assert first.to_bytes() == again.to_bytes()

    def test_there_is_no_nan_and_nothing_of_this_machine_in_it(self, study: Study, tmp_path: Path) -> None:
        content = whole_study(study).report().to_bytes()

        def refuse(name: str) -> None:
            raise AssertionError(name)

        json.loads(content, parse_constant=refuse)
        assert str(tmp_path).encode() not in content

    def test_the_report_comes_back_from_its_bytes(self, study: Study) -> None:
        report = whole_study(study).report()
        assert Report.model_validate_json(report.to_bytes()) == report

    def test_instances_and_steps_are_kept_apart(self, study: Study) -> None:
        for number in range(2):
            study.add(files.study_arrays(number, n_per_class=8), instance=str(number), step=10 * number)
        report = study.report()
        assert {(s.instance, s.step) for s in report.separations} == {("0", 0), ("1", 10)}
        assert [(i.instance, i.step) for i in report.provenance.inputs] == [("0", 0), ("1", 10)]


def test_constant_and_repeated_points_have_numbers_too(study: Study) -> None:
    _, labels = files.classes_apart(n_per_class=10)
    layers = {
        "constant": np.ones((30, 3)),
        "zero": np.zeros((30, 2)),
        "labels themselves": np.eye(3)[labels],
        "huge": np.random.default_rng(0).normal(size=(30, 2)) * 1e150,
        "tiny": np.random.default_rng(0).normal(size=(30, 2)) * 1e-300,
    }
    for metric in ("euclidean", "cosine"):
        report = Study(study._folder).add({"labels": labels, **layers}).report(metric=metric)
        for found in report.separations:
            assert all(math.isfinite(value) for value in found.pairs.statistic)
        assert separation(report, "labels themselves").mean > separation(report, "constant").mean


class TestRowOrder:
    def test_nothing_drawn_nothing_changed(self, study: Study, tmp_path: Path) -> None:
        arrays = files.study_arrays(n_per_class=12)
        order = np.random.default_rng(1).permutation(36)
        (tmp_path / "other").mkdir()
        one = study.add(arrays).report()
        two = Study(tmp_path / "other").add({name: array[order] for name, array in arrays.items()}).report()
        for layer in LAYERS:
            assert separation(one, layer).pairs == separation(two, layer).pairs


def test_an_exact_test_that_does_not_exist_has_a_reason(study: Study) -> None:
    # Repeated points in classes of unequal size: averages over all trees, which lie on no common lattice.
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [11, 13, 17])
    layers = {str(i): rng.integers(0, 3, (41, 2)).astype(float) for i in range(3)}
    report = study.add({"labels": labels, **layers}).report(tests={"method": "exact"}, sampling={"per_class": "all"})
    assert len(report.tests) == 2
    for row in report.tests:
        (permutation,) = [result for result in row.results if result.method == "permutation"]
        assert permutation.p_value is None
        assert permutation.reason is not None
        assert "no common lattice" in permutation.reason


def test_progress_grows_and_names_the_layer(study: Study) -> None:
    seen: list[tuple[str, int, int, float]] = []
    whole_study(study).report(on_progress=lambda *event: seen.append(event))
    assert [stage for stage, *_ in seen if stage.startswith("instance")] == [
        f"instance 0, {state}, {split}: {layer}"
        for split in ("train", "validation")
        for state in ("trained", "untrained")
        for layer in LAYERS
    ]
    assert [done for _, done, _, _ in seen[:12]] == list(range(12))
    assert {total for _, _, total, _ in seen[:12]} == {12}
    fractions = [fraction for *_, fraction in seen]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert 0.0 < fractions[1] < fractions[-1] <= 1.0


def test_an_exception_of_the_progress_goes_through(study: Study) -> None:
    def stop(*_: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        study.add(files.study_arrays(n_per_class=6)).report(on_progress=stop)
