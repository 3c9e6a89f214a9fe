"""`pip install interlayer` alone is the client and the command; what needs more says which extra."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.e2e.activations import write_study
from tests.interlayer.render.sample import sample_report

ROOT = Path(__file__).parents[2]
ABSENT = ("numpy", "torch", "numba", "scipy", "fastapi", "sqlalchemy", "pydantic_settings", "pandas")


def closure(requirements: list[str]) -> set[str]:
    """Return the names of the installed distributions that requirements lead to, without any extra."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        extras = {"": None} | dict.fromkeys(requirement.extras)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        if requirement.name not in found:
            found.add(requirement.name)
            waiting += [
                child
                for text in distribution(requirement.name).requires or []
                if (child := Requirement(text)).marker is None or child.marker.evaluate({"extra": ""})
            ]
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that holds our wheel and what it declares to need, and nothing else.

    No network: the packages are those of this environment, linked one by one.
    """
    folder = tmp_path_factory.mktemp("bare")
    source = folder / "source"
    source.mkdir()
    for room in ("contract", "hpcore", "interlayer", "service", "worker"):
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, stdout=subprocess.PIPE)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    show = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([python, "-c", show], text=True).strip())
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True)
    declared = [text for text in distribution("interlayer").requires or [] if "extra ==" not in text]
    for name in closure(declared):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(found.locate_file(top))).resolve())
    return environment / "bin" / "interlayer"


def interlayer(bare: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "INTERLAYER"))}
    return subprocess.run(
        [str(bare), *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        env=clean | environment,
        timeout=120,
    )


def python(bare: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [str(bare.with_name("python")), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_nothing_heavy_is_there(bare: Path) -> None:
    code = f"import importlib.util as u; print([name for name in {ABSENT!r} if u.find_spec(name)])"
    assert python(bare, code).stdout.strip() == "[]"


@pytest.mark.parametrize(
    "code",
    [
        "from interlayer.client import Client, AsyncClient; Client('http://127.0.0.1:9', 'k')",
        "import interlayer.render.html, interlayer.render.tables, interlayer.render.terminal",
        "import interlayer.frames, interlayer.record, interlayer.reproduce, interlayer.stack",
    ],
)
def test_imports(bare: Path, code: str) -> None:
    result = python(bare, code)
    assert result.returncode == 0, result.stderr


def test_a_report_is_shown_and_rendered(bare: Path, tmp_path: Path) -> None:
    path, page = tmp_path / "report.json", tmp_path / "report.html"
    path.write_bytes(sample_report(n_layers=3).to_bytes())
    result = interlayer(bare, "report", path, "--html", page, "--csv", tmp_path / "report.csv")
    assert result.returncode == 0, result.stderr
    assert "0.Input" in result.stdout
    assert "<html" in page.read_text()


def test_a_report_is_audited(bare: Path, tmp_path: Path) -> None:
    report, policy = tmp_path / "report.json", tmp_path / "interlayer.yaml"
    report.write_bytes(sample_report(n_layers=3, classes=3).to_bytes())
    assert interlayer(bare, "policy", "init", policy).returncode == 0
    result = interlayer(bare, "audit", "--policy", policy, "--out", tmp_path / "out", report)
    assert result.returncode == 1, result.stderr
    assert "memorization" in result.stdout
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert interlayer(bare, "compare", report, report).returncode == 0


def test_a_service_that_is_away_is_said(bare: Path) -> None:
    service = {"INTERLAYER_SERVER": "http://127.0.0.1:9", "INTERLAYER_KEY": "il_key"}
    result = interlayer(bare, "baseline", "list", **service)
    assert (result.returncode, result.stdout) == (5, "")
    assert "is it running?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["analyze", "{study}"], "interlayer[worker]"),
        (["warmup"], "interlayer[worker]"),
        (["up", "--port", "0", "--data", "{folder}/data"], "interlayer[service,worker]"),
    ],
)
def test_what_needs_more_says_what(bare: Path, tmp_path: Path, arguments: list[str], extra: str) -> None:
    study = write_study(tmp_path / "run.npz")
    result = interlayer(bare, *(item.format(study=study, folder=tmp_path) for item in arguments))
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert extra in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from interlayer.frames import report_frame; report_frame(None)", "interlayer[pandas]"),
        ("from interlayer.record import record; record(None, [], 'x.safetensors')", "interlayer[models]"),
    ],
)
def test_functions_that_need_more_say_what(bare: Path, code: str, extra: str) -> None:
    result = python(bare, code)
    assert extra in result.stderr.splitlines()[-1], result.stderr
