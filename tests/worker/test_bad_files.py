"""Whatever is in a file, the answer is a problem with a stable code that says what to do, in bounded memory."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.schemas import ProblemError
from tests.worker.bad_archives import NPZ, UNPACKED, labelled, with_members
from tests.worker.bad_tensors import SAFETENSORS
from tests.worker.files import npy
from worker.activations import open_activations


def problem_of(path: Path) -> Any:
    with pytest.raises(ProblemError) as caught:
        open_activations(path, max_unpacked_bytes=UNPACKED)
    return caught.value.problem


@pytest.mark.parametrize("case", [*NPZ.values(), *SAFETENSORS.values()], ids=[*NPZ, *SAFETENSORS])
def test_a_bad_file_is_refused_with_its_code(tmp_path: Path, case: tuple[Callable[[], bytes], str, str]) -> None:
    content, code, named = case
    path = tmp_path / "file"
    path.write_bytes(content())
    problem = problem_of(path)
    assert code in ("", problem.code), problem
    assert named in problem.detail
    assert 400 <= problem.status < 500
    json.dumps(problem.model_dump(), ensure_ascii=False).encode()


HUGE = (
    "a directory of 2 MB",
    "a directory of 4 GB",
    "a directory of 2**40 in 64 bits",
    "7 TiB in 128 bytes",
    "2 GiB in 16 bytes",
    "bomb that lies",
    "labels: 8 GiB of names",
    "bomb by its directory",
)


@pytest.mark.parametrize("name", HUGE)
def test_a_file_that_lies_about_its_size_costs_no_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(NPZ[name][0]())
    problem_of(path)  # imports and caches first
    tracemalloc.start()
    try:
        problem_of(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_the_labels_are_bounded_before_they_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.activations._MOST_LABEL_BYTES", 40)
    path = tmp_path / "file"
    path.write_bytes(with_members())
    assert problem_of(path).code == "labels_invalid"


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "code ran",)

    path = tmp_path / "file"
    path.write_bytes(with_members(layer=npy(np.array([Canary()] * 6, object))))
    problem_of(path)
    path.write_bytes(labelled(np.array([Canary()] * 6, object)))
    problem_of(path)
    assert not (tmp_path / "code ran").exists()
