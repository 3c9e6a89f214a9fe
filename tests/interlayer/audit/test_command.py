"""`interlayer audit` as a process: what it ends with, and the one sentence it says to whoever called it wrongly."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from contract.schemas import Finding
from tests.interlayer.audit.networks import report

HEALTHY = """\
version: 1
rules:
  - {id: learned, check: separation, layers: last, split: train, at_least: 0.8}
"""
STEADY = "version: 1\nrules:\n  - {id: steady, check: change, split: train, max_drop: 0.03}\n"


def interlayer(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLAYER", "GITHUB", "CI"))}
    command = [sys.executable, "-m", "interlayer", *arguments]
    source = {"PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(command, cwd=folder, capture_output=True, env=clean | source | environment, timeout=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with reports and policies."""
    good, bad = report({"a": 0.0, "z": 0.9}), report({"a": 0.0, "z": 0.5})
    newer = good.model_copy(update={"schema_version": "1.7"})
    reports = {
        "good.json": good.to_bytes(),
        "bad.json": bad.to_bytes(),
        "vague.json": report({"a": 0.0, "z": 0.5}, spread=0.9).to_bytes(),
        "minor.json": newer.to_bytes().replace(b'"schema_version":"1.7"', b'"schema_version":"1.7","new_field":[1]'),
        "major.json": good.to_bytes().replace(b'"schema_version":"1.0"', b'"schema_version":"2.0"'),
        "others.json": report({"a": 0.0, "z": 0.9}, classes=("a", "b", "x")).to_bytes(),
        "ill.json": good.model_copy(
            update={"findings": [Finding(code="memorization", severity="error", message="Größe ≠ 3", evidence={})]}
        ).to_bytes(),
    }
    for name, content in reports.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "interlayer.yaml").write_text(HEALTHY)
    (tmp_path / "steady.yaml").write_text(STEADY)
    (tmp_path / "glob.yaml").write_text(HEALTHY.replace("last", '"conv*"'))
    (tmp_path / "unknown.yaml").write_text(HEALTHY.replace("check: separation", "check: seperation"))
    (tmp_path / "finding.yaml").write_text("version: 1\nrules: [{id: f, check: finding, absent: [memorization]}]\n")
    (tmp_path / "broken.yaml").write_text("version: 1\nrules:\n  - {id: [\n")
    (tmp_path / "expired.yaml").write_text(
        HEALTHY.replace(
            "at_least: 0.8",
            "at_least: 0.8, claim: observed, ignore_pairs: [{pair: [a, b], reason: why, expires: 2020-01-01}]",
        )
    )
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "first"),
    [
        (["good.json"], 0, "Audit passed"),
        (["minor.json"], 0, "Audit passed"),
        (["bad.json"], 1, "Audit violated"),
        (["vague.json"], 3, "Audit inconclusive"),
        (["--exit-zero", "bad.json"], 0, "Audit violated"),
        (["--policy", "glob.yaml", "good.json"], 3, "Audit inconclusive"),
        (["--policy", "steady.yaml", "--baseline", "good.json", "bad.json"], 1, "Audit violated"),
        (["--policy", "steady.yaml", "--baseline", "others.json", "good.json"], 3, "Audit inconclusive"),
        (["--policy", "steady.yaml", "good.json"], 3, "Audit inconclusive"),
        (["--out", "out", "--json", "bad.json"], 1, "{"),
    ],
)
def test_a_verdict_ends_with_its_code(folder: Path, arguments: list[str], code: int, first: str) -> None:
    ran = interlayer(folder, "audit", *arguments)
    assert (ran.returncode, ran.stdout.decode().startswith(first)) == (code, True), ran
    assert ran.stderr == b""


NOBODY = {"INTERLAYER_SERVER": "http://127.0.0.1:9", "INTERLAYER_KEY": "k"}


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (["--policy", "unknown.yaml", "good.json"], {}, 2, "did you mean 'separation'"),
        (["--policy", "expired.yaml", "good.json"], {}, 2, "remove the exception, or renew it"),
        (["--policy", "none.yaml", "good.json"], {}, 2, "interlayer policy init"),
        (["major.json"], {}, 2, "update interlayer"),
        (["none.json"], {}, 2, "cannot read none.json"),
        (["none.npz"], {}, 2, "there is no file none.npz"),
        (["good.json", "bad.json"], {}, 2, "give either files of activations or one report"),
        (["--policy", "steady.yaml", "--baseline", "none.json", "good.json"], {}, 2, "baseline bless"),
        (["an_" + "0" * 30], {}, 2, "name it with --server"),
        (["--detach", "good.json"], {}, 2, "name it with --server"),
        (["interlayer.yaml"], {}, 4, "format_unsupported"),
        (["an_" + "0" * 30], NOBODY, 5, "is it running?"),
        (["--server", "http://127.0.0.1:9", "an_" + "0" * 30], {}, 5, "INTERLAYER_KEY"),
        (["--out", "/dev/full/out", "good.json"], {}, 4, "/dev/full"),
        (["--junit", "/dev/full", "good.json"], {}, 4, "No space left on device; free some"),
        (["--policy", "broken.yaml", "good.json"], {}, 2, "found '<stream end>' in line 4"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_code(
    folder: Path, arguments: list[str], environment: Mapping[str, str], code: int, says: str
) -> None:
    ran = interlayer(folder, "audit", *arguments, **environment)
    said = [line for line in ran.stderr.decode().splitlines() if line.startswith("interlayer: ")]
    assert ran.returncode == code, ran
    assert len(said) == 1
    assert ran.stdout == b"", "no verdict is said that the code does not confirm"
    assert says in said[0]
    assert b"Traceback" not in ran.stderr


def test_a_terminal_that_cannot_show_a_sign_gets_a_question_mark(folder: Path) -> None:
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = interlayer(folder, "audit", "--policy", "finding.yaml", "--out", "out", "ill.json", **plain)
    assert (ran.returncode, ran.stdout.isascii()) == (1, True), ran
    assert "Größe ≠ 3" in (folder / "out" / "summary.md").read_text(encoding="utf-8")


def test_in_a_workflow_it_annotates_and_stdout_stays_the_result(folder: Path) -> None:
    ran = interlayer(folder, "audit", "--json", "bad.json", GITHUB_ACTIONS="true")
    assert ran.stdout.startswith(b"{")
    assert ran.stderr.startswith(b"::error file=interlayer.yaml,line=3,title=learned::")


def test_policies_are_started_checked_and_explained(folder: Path) -> None:
    assert interlayer(folder, "policy", "init", "new.yaml").returncode == 0
    assert interlayer(folder, "policy", "init", "new.yaml").returncode == 2, "a file that exists is left alone"
    assert interlayer(folder, "policy", "validate", "new.yaml").returncode == 0
    assert interlayer(folder, "policy", "validate", "expired.yaml").returncode == 2
    told = interlayer(folder, "policy", "explain", "interlayer.yaml", "--report", "good.json").stdout.decode()
    assert "at least 0.8" in told
    assert "On training data" in told
    assert "layers of this report: z" in told


def test_reports_are_compared(folder: Path) -> None:
    ran = interlayer(folder, "compare", "good.json", "bad.json")
    assert ran.returncode == 0
    assert "−0.400" in ran.stdout.decode()
