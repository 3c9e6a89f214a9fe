"""A bench for every test of models."""

from pathlib import Path

import pytest

from tests.worker.models.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    (tmp_path / "models.toml").write_text("")
    return made
