"""The arrows between the rooms hold, nothing happens at import, and both checks can fail."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("contract", "hpcore", "interlayer", "service", "worker")
HEAVY = ("torch", "numba", "llvmlite", "celery", "alembic")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a tree. Its command takes the packages from where it is run."""
    code = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tree, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the rooms that a test may spoil."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_arrows_hold(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout


FORBIDDEN = [
    ("service/errors.py", "import hpcore"),
    ("service/estimate.py", "from worker import analysis"),
    ("service/app.py", "import torch"),
    ("contract/jobs.py", "import fastapi"),
    ("contract/schemas/report.py", "import hpcore"),
    ("contract/blobs.py", "import service"),
    ("contract/queue.py", "import interlayer"),
    ("hpcore/permutation.py", "import pydantic"),
    ("hpcore/distances.py", "from contract import settings"),
    ("worker/analysis.py", "import service"),
    ("worker/runner.py", "from interlayer import client"),
    ("interlayer/client/flow.py", "from contract import jobs"),
    ("interlayer/render/html.py", "import hpcore"),
    ("interlayer/client/blocking.py", "import worker.analysis"),
]


@pytest.mark.parametrize(("file", "line"), FORBIDDEN)
def test_a_forbidden_import_is_noticed(tree: Path, file: str, line: str) -> None:
    path = tree / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    result = lint(tree)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout


def test_every_room_has_a_rule() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    sources = " ".join(parser[name].get("source_modules", "") for name in parser.sections()).split()
    assert set(ROOMS) <= {source.split(".")[0] for source in sources}


def loaded_by(code: str) -> set[str]:
    """Return the heavy libraries that a fresh interpreter has loaded after some code."""
    show = f"import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}; {show}"], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    )
    return set(result.stdout.split())


@pytest.mark.parametrize("package", ["interlayer", "interlayer.client", "service.app", "hpcore", "contract.schemas"])
def test_importing_loads_nothing_heavy(package: str) -> None:
    assert loaded_by(f"import {package}") == set()


def test_a_heavy_import_would_be_noticed() -> None:
    assert "numba" in loaded_by("import numba")


@pytest.mark.parametrize(
    "package", ["contract", "hpcore", "interlayer", "service.app", "worker.poll", "worker.app", "worker.child"]
)
def test_importing_touches_neither_settings_nor_files(package: str, tmp_path: Path) -> None:
    environment = os.environ | {"INTERLAYER_PORT": "no number", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-B", "-c", f"import {package}"], cwd=tmp_path, env=environment, check=True, timeout=120
    )
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_no_number_would_be_noticed() -> None:
    environment = os.environ | {"INTERLAYER_PORT": "no number"}
    result = subprocess.run(
        [sys.executable, "-c", "from contract.settings import Settings; Settings()"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
    )
    assert result.returncode == 1
    assert b"ValidationError" in result.stderr
