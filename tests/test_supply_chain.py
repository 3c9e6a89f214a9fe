"""`make audit` says no where it should: by licence, by vulnerability, and where it could not ask."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"


def loaded(name: str) -> ModuleType:
    """Return a program of the folder `requirements`, which is no package."""
    specification = importlib.util.spec_from_file_location(name, REQUIREMENTS / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def package(licence: str, name: str = "some-package") -> dict[str, str]:
    return {"Name": name, "Version": "1.0", "License": licence}


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [
        ("MIT License", True),
        ("Apache-2.0 AND BSD-3-Clause", True),
        ("Apache-2.0 AND CNRI-Python", True),
        ("GNU General Public License v3 (GPLv3)", False),
        ("MIT License; GNU Affero General Public License v3 (AGPLv3)", False),
        ("LGPL-3.0-only", False),
        ("MPL-2.0 AND MIT", False),
        ("BUSL-1.1", False),
        ("Proprietary", False),
        ("UNKNOWN", False),
    ],
)
def test_a_licence_that_is_not_permissive_is_refused(licence: str, accepted: bool) -> None:
    rows, refused = loaded("licences").table([package(licence)])
    assert rows == [f"| some-package | 1.0 | {licence} |"]
    assert refused == ([] if accepted else [f"some-package: {licence}"])


def test_an_exception_is_one_packages_own() -> None:
    _, refused = loaded("licences").table([package("LGPL-3.0", "psycopg_binary"), package("LGPL-3.0", "other")])
    assert refused == ["other: LGPL-3.0"]


def test_the_check_fails_as_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licences = loaded("licences")
    said = json.dumps([package("GPL-3.0-or-later", "uvicorn"), package("GPL-3.0-or-later", "not-in-the-images")])
    answer = subprocess.CompletedProcess([], 0, stdout=said)
    monkeypatch.setattr(licences.subprocess, "run", lambda *_, **__: answer)
    assert licences.main() == 1


def test_the_licences_of_the_images_are_as_written_down() -> None:
    command = [sys.executable, str(REQUIREMENTS / "licences.py")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, "")
    names, documented = packages_of(run.stdout), packages_of((ROOT / "docs" / "licences.md").read_text())
    assert {"fastapi", "numba", "obstore", "torch", "transformers"} <= names
    assert names - documented == set(), "run `make audit`"


def packages_of(page: str) -> set[str]:
    return {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}


SOUND: dict[str, Any] = {"name": "sound", "version": "1", "vulns": []}
KNOWN: dict[str, Any] = {"name": "old", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
UNASKED: dict[str, Any] = {"name": "strange", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND, SOUND], 0, "2 packages, no known vulnerability"),
        ([SOUND, KNOWN], 1, "old 1: PYSEC-1, fixed in 2"),
        ([SOUND, UNASKED], 2, "1 of 2 packages could not be looked up: strange"),
        ([KNOWN, UNASKED], 1, "PYSEC-1"),
        ([UNASKED, UNASKED], 2, "could not be reached"),
        ([], 2, "could not be reached"),
        (None, 2, "could not be reached"),
    ],
)
def test_only_what_was_looked_up_and_is_sound_passes(
    packages: list[dict[str, Any]] | None, code: int, said: str
) -> None:
    found, lines = loaded("audit").verdict({"a.txt": packages, "b.txt": [SOUND]})
    assert found == code
    assert said in "\n".join(lines)
    assert len([line for line in lines if "could not be reached" in line]) == (said == "could not be reached")


def test_without_a_network_it_says_so_and_fails() -> None:
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    nowhere |= {name.lower(): value for name, value in nowhere.items()}
    command = [sys.executable, str(REQUIREMENTS / "audit.py")]
    run = subprocess.run(command, env=os.environ | nowhere, capture_output=True, text=True, timeout=300)
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stdout.count("the vulnerability service could not be reached") == 3
