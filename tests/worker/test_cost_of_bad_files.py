"""Every bad file is refused in bounded memory and with bounded work, and a good one is read right after it."""

from pathlib import Path

import pytest

from tests.worker.bad_archives import NPZ, UNPACKED, with_members
from tests.worker.bad_tensors import SAFETENSORS
from tests.worker.reading import MOST_CPU_SECONDS, MOST_MEMORY, Cost, costs_of_reading

_OPENING = f"""
from worker.activations import open_activations

def open_file(path):
    open_activations(path, max_unpacked_bytes={UNPACKED})
"""
_WASTEFUL = """
def open_file(path):
    if path.name == "bad":
        b"x" * 2**27; sum(range(2 * 10**8))
"""


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "good").write_bytes(with_members())
    paths = {}
    for number, (name, (make, _, _)) in enumerate([*NPZ.items(), *SAFETENSORS.items()]):
        paths[name] = folder / f"bad-{number}"
        paths[name].write_bytes(make())
    return costs_of_reading(_OPENING, folder / "good", paths)


@pytest.mark.parametrize("name", [*NPZ, *SAFETENSORS])
def test_it_is_refused_at_little_cost(costs: dict[str, Cost], name: str) -> None:
    code, memory, seconds, afterwards = costs[name]
    wanted = (NPZ | SAFETENSORS)[name][1]
    assert code
    assert wanted in ("", code)
    assert memory < MOST_MEMORY
    assert seconds < MOST_CPU_SECONDS
    assert afterwards == ""


def test_a_reader_that_wasted_memory_and_time_would_be_noticed(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.touch()
    bad.touch()
    _, memory, seconds, _ = costs_of_reading(_WASTEFUL, good, {"bad": bad})["bad"]
    assert memory > MOST_MEMORY
    assert seconds > MOST_CPU_SECONDS
