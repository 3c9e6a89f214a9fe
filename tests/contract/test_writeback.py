"""The kernel is asked once for every byte, in pieces worth the call, and only after it was written."""

import os
from pathlib import Path
from typing import Any

import pytest

from contract import writeback
from contract.writeback import Writeback

_MEGABYTE = 2**20


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(
        writeback, "_sync_file_range", lambda _file, start, length, _flags: found.append((start, length))
    )
    return found


def test_every_byte_once(asked: list[tuple[int, int]]) -> None:
    writing = Writeback(0, position=5)
    for position in (6, _MEGABYTE, 4 * _MEGABYTE + 5, 5 * _MEGABYTE, 9 * _MEGABYTE):
        writing.reached(position)
    assert asked == [(5, 4 * _MEGABYTE), (4 * _MEGABYTE + 5, 5 * _MEGABYTE - 5)]


def test_where_the_kernel_cannot_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "_sync_file_range", None)
    Writeback(0).reached(100 * _MEGABYTE)


@pytest.mark.skipif(writeback._sync_file_range is None, reason="Linux alone has sync_file_range")
def test_the_kernel_understands_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int] = []
    ask: Any = writeback._sync_file_range
    monkeypatch.setattr(writeback, "_sync_file_range", lambda *question: answers.append(ask(*question)))
    with (tmp_path / "file").open("wb", buffering=0) as file:
        size = file.write(os.urandom(5 * _MEGABYTE))
        Writeback(file.fileno()).reached(size)
    assert answers == [0]
