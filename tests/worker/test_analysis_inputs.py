"""Inputs of an analysis: which of their layers are wanted, whether they fit together, and what is wrong with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker import files
from tests.worker.analyses import LAYERS, Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


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


def test_the_same_file_as_two_inputs_is_warned_of(study: Study) -> None:
    arrays = files.study_arrays(n_per_class=6)
    report = study.add(arrays).add(arrays, split="validation").report()
    assert "same_file_twice" in {warning.code for warning in report.warnings}
