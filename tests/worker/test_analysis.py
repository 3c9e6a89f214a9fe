"""From files to a report, against the slow reference."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.schemas import AnalysisRequest, ProblemError, Report, Separation
from tests import oracle
from tests.worker import files
from worker.analysis import analyze
from worker.measuring import Resources
from worker.selection import draw_rows

ONE_THREAD = Resources(n_threads=1)
LAYERS = ["0.Input", "1.Conv", "2.Softmax"]


class Study:
    """Files with their roles, analysed on demand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.inputs: list[dict[str, Any]] = []
        self.paths: dict[str, Path] = {}

    def add(self, arrays: dict[str, Any], **role: Any) -> "Study":
        path = files.write_npz(self._folder / f"{len(self.inputs)}.npz", arrays)
        artifact = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        self.inputs.append({"artifact": artifact, **role})
        self.paths[artifact] = path
        return self

    def report(self, resources: Resources = ONE_THREAD, on_progress: Any = None, **options: Any) -> Report:
        options.setdefault("tests", {"n_resamples": 99})
        request = AnalysisRequest.model_validate({"inputs": self.inputs, **options})
        more = {} if on_progress is None else {"on_progress": on_progress}
        return analyze(request, self.paths, resources, **more)[0]

    def refused(self, **options: Any) -> Any:
        with pytest.raises(ProblemError) as caught:
            self.report(**options)
        return caught.value.problem


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def expected_statistic(points: files.Array, labels: files.Array, metric: str = "euclidean") -> list[float]:
    """1 - R (m + n) / (2 m n) of every pair by the reference."""
    _, counts = np.unique(labels, return_counts=True)
    crossing = oracle.pairwise_cross_edges(points, labels, metric)
    pairs = [(m, n) for i, m in enumerate(counts) for n in counts[i + 1 :]]
    return [1 - r * (m + n) / (2 * m * n) for r, (m, n) in zip(crossing, pairs, strict=True)]


def separation(report: Report, layer: str, **role: Any) -> Separation:
    (found,) = [s for s in report.separations if s.layer == layer and all(getattr(s, k) == v for k, v in role.items())]
    return found


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


def whole_study(study: Study) -> Study:
    arrays = {role: files.study_arrays(seed, n_per_class=36) for seed, role in enumerate(("train", "validation"))}
    for split, found in arrays.items():
        study.add(found, state="trained", split=split)
        weak = {name: array if name == "labels" else array * 0.9 for name, array in found.items()}
        study.add(weak, state="untrained", split=split)
    return study


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


class TestLayers:
    def test_a_selection(self, study: Study) -> None:
        arrays = files.study_arrays(n_per_class=6)
        arrays = {**arrays, "block[0]": arrays["1.Conv"], "block0": arrays["1.Conv"]}
        study.add(arrays)
        assert study.report(layers={"include": ["?.*"], "exclude": ["*Conv"]}).layers == ["0.Input", "2.Softmax"]
        assert "block[0]" in study.report(layers={"include": ["block[0]"]}).layers

    def test_an_unknown_layer_is_refused_with_the_nearest(self, study: Study) -> None:
        study.add(files.study_arrays(n_per_class=6))
        for options in (
            {"layers": {"include": ["1.Cnov"]}},
            {"components": {"blocks": ["0.Input", "1.Cnov"]}},
        ):
            problem = study.refused(**options)
            assert (problem.code, "'1.Conv'" in problem.detail) == ("unknown_layer", True)

    def test_a_component_must_stay_within_the_selection(self, study: Study) -> None:
        study.add(files.study_arrays(n_per_class=6))
        options: Any = {"layers": {"exclude": ["1.Conv"]}, "components": {"b": ["0.Input", "1.Conv"]}}
        assert study.refused(**options).code == "unknown_layer"

    def test_inputs_may_list_their_layers_in_another_order(self, study: Study) -> None:
        arrays = files.study_arrays(n_per_class=6)
        study.add(arrays, split="train").add(dict(reversed(arrays.items())), split="validation")
        assert study.report().layers == LAYERS


class TestMismatch:
    def test_of_classes(self, study: Study) -> None:
        arrays = files.study_arrays(n_per_class=6)
        study.add(arrays).add({**arrays, "labels": arrays["labels"] + 1}, split="validation")
        problem = study.refused()
        assert (problem.code, "'3'" in problem.detail) == ("class_mismatch", True)

    def test_of_layers(self, study: Study) -> None:
        arrays = files.study_arrays(n_per_class=6)
        study.add(arrays).add({**arrays, "3.More": arrays["1.Conv"]}, split="validation")
        problem = study.refused()
        assert (problem.code, "3.More" in problem.detail) == ("layer_mismatch", True)
        assert study.report(layers={"exclude": ["3.*"]}).layers == LAYERS

    def test_of_dimensions_between_inputs_is_no_mismatch(self, study: Study) -> None:
        arrays = files.study_arrays(n_per_class=6)
        study.add(arrays).add({**arrays, "1.Conv": arrays["0.Input"]}, state="untrained")
        assert len(study.report().separations) == 6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_a_number_that_is_none_is_refused(study: Study, value: float, dtype: str) -> None:
    arrays = files.study_arrays(n_per_class=6)
    layer = arrays["1.Conv"].astype(dtype)
    layer[4, 2] = value
    problem = study.add({**arrays, "1.Conv": layer}, instance="seven").refused()
    assert problem.code == "non_finite"
    assert "'1.Conv'" in problem.detail
    assert "seven" in problem.detail


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


def test_a_file_that_is_gone_is_said(study: Study) -> None:
    study.add(files.study_arrays(n_per_class=6))
    for path in study.paths.values():
        path.unlink()
    assert study.refused().code == "artifact_not_found"


def test_a_missing_device_is_said(study: Study) -> None:
    import torch

    study.add(files.study_arrays(n_per_class=6))
    if torch.cuda.is_available():
        assert study.report(device="cuda").layers == LAYERS
    else:
        assert study.refused(device="cuda").code == "device_unavailable"


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


def test_the_same_file_as_two_inputs_is_warned_of(study: Study) -> None:
    arrays = files.study_arrays(n_per_class=6)
    report = study.add(arrays).add(arrays, split="validation").report()
    assert "same_file_twice" in {warning.code for warning in report.warnings}
