"""The renderings belong to the client: importing them loads no numerical library and no service."""

import subprocess
import sys

import pytest

RENDERINGS = "interlayer.render.html, interlayer.render.svg, interlayer.render.tables, interlayer.render.terminal"
HEAVY = ("numpy", "torch", "numba", "scipy", "jinja2", "fastapi", "hpcore", "worker", "service")


def loaded(imports: str) -> set[str]:
    code = f"import sys, {imports}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_renderings_load_nothing_heavy() -> None:
    assert not loaded(RENDERINGS) & set(HEAVY)


@pytest.mark.parametrize("module", ["numpy", "hpcore"])
def test_the_check_can_fail(module: str) -> None:
    assert module in loaded(f"{RENDERINGS}, {module}")
