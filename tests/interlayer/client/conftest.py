"""Both clients, and pauses that are noted instead of waited for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interlayer.client.scripted import Either, Handler


@pytest.fixture(params=["blocking", "asynchronous"])
def either(request: pytest.FixtureRequest) -> Callable[[Handler], Either]:
    """Make a client of each kind."""
    return lambda handler: Either(request.param, handler)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of every pause, none of which is waited for."""
    noted: list[float] = []

    async def note(seconds: float) -> None:
        noted.append(seconds)

    # In the clients alone: threads of other tests sleep, too.
    monkeypatch.setattr("interlayer.client.blocking.sleep", noted.append)
    monkeypatch.setattr("interlayer.client.asynchronous.sleep", note)
    return noted


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
