"""The command as scripts see it: exit codes, stdout for results, stderr for the rest."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from contract.schemas import Report
from interlayer.__main__ import run
from tests.e2e.activations import write_study

SERVICE = ["--server", "http://127.0.0.1:9", "--key", "k"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "run.npz")


def test_analyze_prints_a_table_and_keeps_stdout_for_it(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(study)]) == 0
    out, err = capsys.readouterr()
    assert "0.Dense" in out
    assert "1.Dense" in out
    assert "%" in err  # progress
    assert "0%" not in out


def test_analyze_writes_every_form(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: tmp_path / f"report.{name}" for name in ("json", "html", "csv", "md", "tests", "svg")}
    arguments = ["-o", paths["json"], "--html", paths["html"], "--csv", paths["csv"], "--markdown", paths["md"]]
    arguments += ["--tests-csv", paths["tests"], "--svg", paths["svg"]]
    assert run(["analyze", str(study), *map(str, arguments)]) == 0
    report = Report.model_validate_json(paths["json"].read_bytes())
    assert report.layers == ["0.Dense", "1.Dense"]
    assert "<html" in paths["html"].read_text()
    assert "0.Dense" in paths["md"].read_text()
    with paths["csv"].open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 3  # layers × class pairs
    with paths["tests"].open(newline="") as file:
        assert {row["family"] for row in csv.DictReader(file)} == {"layer_step"}
    assert paths["svg"].read_text().startswith("<svg")
    assert capsys.readouterr().out == ""


def test_analyze_json_is_the_report_alone(study: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["analyze", str(study), "--json"]) == 0
    Report.model_validate_json(capfdbinary.readouterr().out)


def test_roles_are_read_behind_the_at_sign(study: Path, tmp_path: Path) -> None:
    other = write_study(tmp_path / "a@b.npz", n_per_class=35)
    target = tmp_path / "report.json"
    arguments = [f"{study}@split=train,step=3", f"{other}@split=validation,instance=7,state=untrained"]
    assert run(["analyze", *arguments, "--component", "all=0.Dense,1.Dense", "-o", str(target)]) == 0
    report = Report.model_validate_json(target.read_bytes())
    roles = [(i.instance, i.state, i.split, i.step) for i in report.provenance.inputs]
    assert roles == [("0", "trained", "train", 3), ("7", "untrained", "validation", None)]
    assert {row.component for row in report.tests if row.family == "component_step"} == {"all"}
    # Both were cut to the smaller common class size, and the reader is told.
    assert {n for s in report.separations for n in s.n_per_class} == {35}
    assert "rows_sampled" in {warning.code for warning in report.warnings}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["analyze", "absent.npz"], "there is no file absent.npz"),
        (["analyze", "{study}@split=test"], "run.npz is train or validation, not 'test'"),
        (["analyze", "{study}", "--state", "random"], "trained or untrained, not 'random'"),
        (["analyze", "{study}@color=red"], "color=red"),
        (["analyze", "{study}@step=soon"], "step"),
        (["analyze", "{study}", "--metric", "manhattan"], "metric"),
        (["analyze", "{study}", "--component", "0.Dense"], "NAME=LAYER"),
        (["analyze", "{study}", "{study}"], "say after @ what each is, as in run.npz@split=validation"),
        (["analyze", "{study}", "--seed", "-1"], "seed"),
        (["analyze", "{study}", "--set", "tests.membership=perhaps"], "membership"),
        (["analyze", "{study}", "--set", "colour=red"], "colour"),
        (["analyze", "{study}", "--set", "metric"], "FIELD=VALUE"),
        (["analyze", "{study}", "--set", "metric.kind=1"], "metric has no fields"),
        (["analyze"], "FILE"),
        (["dance"], "dance"),
        (["report", "{study}"], "not an interlayer report"),
        (["report", "an_12", *SERVICE], "'an_12' is neither the id of an analysis (an_…)"),
        (["up", "--port", "99999"], "65535"),
    ],
)
def test_a_call_that_cannot_mean_anything_exits_with_2(
    arguments: list[str], says: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([item.format(study=study) for item in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--layer", "9.Conv"], "unknown_layer"),
        (["--exclude", "*"], "no_layers"),
        (["--component", "blocks=0.Dense,9.Conv"], "unknown_layer"),
        (["--per-class", "1000"], "too_few_samples"),
    ],
)
def test_an_analysis_that_cannot_be_made_exits_with_4(
    options: list[str], code: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", str(study), *options]) == 4
    assert f"[{code}]" in capsys.readouterr().err
    assert run(["analyze", str(study), *options, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["code"] == code


def test_any_field_of_the_request_can_be_set(study: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    options = ["--set", "sampling.trend=true", "--set", "tests.adjustment=benjamini_hochberg"]
    assert run(["analyze", str(study), *options, "-o", str(target)]) == 0
    report = Report.model_validate_json(target.read_bytes())
    assert all(s.trend is not None and s.trend.n_per_class == [10, 20, 40] for s in report.separations)
    assert {r.adjustment for row in report.tests for r in row.results if r.method == "subsample"} == {
        "benjamini_hochberg"
    }


def test_bad_files_exit_with_4_and_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, labels=np.array([0, 0, 1, 1]), layer=np.array([1.0, 2.0, np.inf, 3.0]))
    assert run(["analyze", str(path)]) == 4
    err = capsys.readouterr().err
    assert "layer 'layer'" in err
    assert "[non_finite]" in err


def test_without_a_service_the_remote_commands_exit_with_5(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERLAYER_SERVER", raising=False)
    monkeypatch.delenv("INTERLAYER_KEY", raising=False)
    assert run(["status", "an_" + "0" * 30]) == 5
    assert "INTERLAYER_SERVER" in capsys.readouterr().err
    assert run(["status", "an_0", "--server", "http://127.0.0.1:9"]) == 5
    assert "no API key for http://127.0.0.1:9" in capsys.readouterr().err
    assert run(["status", "an_0", *SERVICE]) == 5
    assert "is it running?" in capsys.readouterr().err


def test_a_report_file_is_shown_without_a_service(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.json"
    assert run(["analyze", str(study), "-o", str(target)]) == 0
    assert run(["report", str(target)]) == 0
    assert "1.Dense" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["-o", "--html", "--csv", "--markdown", "--svg"])
def test_a_place_that_is_not_there_is_found_before_anything_is_computed(
    option: str, study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlayer.local.analyze", lambda *_, **__: pytest.fail("computed before it looked"))
    assert run(["analyze", str(study), option, str(study.parent / "absent" / "file.svg")]) == 4
    assert "there is no folder" in capsys.readouterr().err
    assert run(["analyze", str(study), option if option != "--svg" else "-o", str(study.parent)]) == 4
    assert "this is a folder" in capsys.readouterr().err


def test_a_disk_without_room_is_an_error_in_a_sentence(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):  # noqa: PTH110 - a device, not a path of ours
        pytest.fail("this test needs /dev/full, which every Linux has")
    assert run(["analyze", str(study), "-o", "/dev/full"]) == 4
    assert "No space left" in capsys.readouterr().err
