"""Requests are strict, answers are lenient, and there is never a NaN."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.schemas import AnalysisRequest, Interval, Problem, ProblemError, Progress, Report
from contract.schemas.problem import PROBLEMS

INPUT = {"artifact": "sha256:" + "0" * 64}


def report_with(**changes: Any) -> dict[str, Any]:
    """Return a small valid report as plain JSON values."""
    interval = {"low": None, "high": None, "level": 0.95, "method": "m", "estimand": "these_classes", "reason": "few"}
    pairs = {
        "class_a": ["a"],
        "class_b": ["b"],
        "n_a": [2],
        "n_b": [2],
        "cross_edges": [1.5],
        "cross_edges_min": [1],
        "cross_edges_max": [2],
        "statistic": [0.25],
        "z": [None],
        "p_value": [1.0],
    }
    separation = {
        "instance": "0",
        "state": "trained",
        "split": "train",
        "step": None,
        "layer": "l",
        "dimension": 3,
        "n_classes": 2,
        "n_per_class": [2, 2],
        "mean": 0.25,
        "interval": interval,
        "sd": None,
        "min": 0.25,
        "max": 0.25,
        "quantiles": {"0.5": 0.25},
        "n_duplicates": 0,
        "n_zero_rows": 0,
        "fold_means": None,
        "pairs": pairs,
    }
    provenance = {
        "inputs": [],
        "versions": {},
        "estimator": "e",
        "metric": "euclidean",
        "ties": "average",
        "seed": 0,
        "sampling": {},
        "tests": {},
    }
    return {
        "schema": "interlayer-report",
        "schema_version": "1.0",
        "provenance": provenance,
        "classes": ["a", "b"],
        "layers": ["l"],
        "separations": [{**separation, **changes}],
        "tests": [],
        "findings": [],
        "warnings": [],
    }


class TestRequest:
    def test_what_is_left_out_has_the_documented_default(self) -> None:
        request = AnalysisRequest.model_validate({"inputs": [INPUT]})
        assert (request.metric, request.sampling.per_class, request.seed, request.device) == (
            "euclidean",
            "equal",
            0,
            "auto",
        )
        assert (request.tests.n_resamples, request.tests.method) == (50_000, "auto")
        assert request.layers.include == ["*"]
        assert request.inputs[0].role == ("0", "trained", "train", None)

    @pytest.mark.parametrize(
        "change",
        [
            {"metrics": "cosine"},
            {"sampling": {"per_clas": 5}},
            {"tests": {"n_resample": 5}},
            {"layers": {"includes": []}},
            {"inputs": [{**INPUT, "splt": "train"}]},
            {"inputs": [{"model": {"name": "x", "path": "/"}, "data": {"name": "y"}}]},
        ],
        ids=str,
    )
    def test_an_unknown_field_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            AnalysisRequest.model_validate({"inputs": [INPUT], **change})

    def test_a_request_comes_back_from_its_json(self) -> None:
        request = AnalysisRequest.model_validate(
            {"inputs": [{**INPUT, "step": 2**53 - 1}], "seed": 2**63 - 1, "tags": {"ä": "ß"}}
        )
        assert AnalysisRequest.model_validate_json(request.model_dump_json()) == request

    def test_the_same_role_twice_is_refused_and_different_ones_are_not(self) -> None:
        other = {"artifact": "sha256:" + "1" * 64}
        with pytest.raises(ValidationError, match="two inputs are both"):
            AnalysisRequest.model_validate({"inputs": [INPUT, other]})
        for role in ({"split": "validation"}, {"state": "untrained"}, {"instance": "1"}, {"step": 0}):
            AnalysisRequest.model_validate({"inputs": [INPUT, {**other, **role}]})

    @pytest.mark.parametrize("text", ["a\x00", "\x1b[31m", "a\nb", "\x7f"])
    def test_names_hold_no_control_characters(self, text: str) -> None:
        for change in ({"tags": {text: "x"}}, {"tags": {"x": text}}, {"components": {text: ["a", "b"]}}):
            with pytest.raises(ValidationError):
                AnalysisRequest.model_validate({"inputs": [INPUT], **change})


class TestReport:
    @pytest.mark.parametrize("field", ["mean", "min", "max", "sd"])
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_nan_and_infinity_are_refused(self, field: str, value: float) -> None:
        with pytest.raises(ValidationError):
            Report.model_validate(report_with(**{field: value}))

    @pytest.mark.parametrize(
        "place", [{"quantiles": {"0.5": math.nan}}, {"fold_means": [[math.inf]]}, {"n_per_class": [math.nan]}]
    )
    def test_nan_is_refused_inside_lists_too(self, place: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Report.model_validate(report_with(**place))
        pairs = {**report_with()["separations"][0]["pairs"], "z": [math.nan]}
        with pytest.raises(ValidationError):
            Report.model_validate(report_with(pairs=pairs))

    def test_a_field_of_a_later_version_is_ignored(self) -> None:
        later = report_with(novelty=1) | {"schema_version": "1.7", "more": {}}
        report = Report.model_validate_json(json.dumps(later))
        assert report.schema_version == "1.7"
        assert "novelty" not in report.model_dump_json()

    def test_another_schema_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            Report.model_validate(report_with() | {"schema": "another"})

    def test_the_bytes_are_canonical_json(self) -> None:
        report = Report.model_validate(report_with(instance="ä/1"))
        content = report.to_bytes()
        assert content.endswith(b"}\n")
        assert json.loads(content)["schema"] == "interlayer-report"
        assert Report.model_validate_json(content).to_bytes() == content

    @given(value=st.floats(allow_nan=False, allow_infinity=False))
    def test_every_number_comes_back_exactly(self, value: float) -> None:
        report = Report.model_validate(report_with(mean=value))
        assert Report.model_validate_json(report.to_bytes()).separations[0].mean == value

    def test_an_interval_without_ends_has_a_reason(self) -> None:
        interval = Interval(low=None, high=None, level=0.95, method="m", estimand="these_classes", reason="few rows")
        assert json.loads(interval.model_dump_json())["low"] is None


class TestProblem:
    @pytest.mark.parametrize("code", PROBLEMS)
    def test_every_code_makes_a_problem(self, code: str) -> None:
        problem = ProblemError(code, "what to do").problem
        content = json.loads(problem.to_bytes())
        assert content["type"] == f"urn:interlayer:problem:{code}"
        assert content["status"] == PROBLEMS[code][0]
        assert None not in content.values(), "members that say nothing are left out"
        assert Problem.model_validate_json(problem.to_bytes()) == problem

    def test_a_code_outside_the_catalogue_is_a_mistake(self) -> None:
        with pytest.raises(KeyError):
            Problem.of("whatever", "…")

    def test_only_what_may_pass_by_itself_is_retryable(self) -> None:
        assert Problem.of("queue_full", "…").retryable
        assert not Problem.of("non_finite", "…").retryable


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_a_fraction_is_one(fraction: float) -> None:
    with pytest.raises(ValidationError):
        Progress(stage="s", done=0, total=1, fraction=fraction)
