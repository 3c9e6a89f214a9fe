"""Threads of one computation: the order of their answers, what ends them, and the memory that they share."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]  # it has no types

from hpcore._blas import one_blas_thread
from hpcore.threads import Scratch, in_threads, row_ranges


@pytest.mark.parametrize("n_threads", [1, 3])
def test_answers_come_in_order(n_threads: int) -> None:
    def work(i: int) -> int:
        time.sleep(0.001 * (i % 3))
        return i * i

    assert list(in_threads(work, range(20), n_threads)) == [i * i for i in range(20)]


def test_memory_of_blocks_is_lent_again() -> None:
    scratch = Scratch(16)
    with scratch() as first, scratch() as second:
        assert first is not second
    with scratch() as again, scratch() as another, scratch() as third:
        assert {id(again), id(another)} == {id(first), id(second)}
        assert third is not again
        assert third is not another


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_failing_task_ends_the_work(n_threads: int) -> None:
    def work(i: int) -> int:
        if i == 5:
            raise ValueError(i)
        return i

    with pytest.raises(ValueError, match="5"):
        list(in_threads(work, range(50), n_threads))


def test_leaving_early_drops_what_has_not_begun() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def work(i: int) -> int:
        begun.append(i)
        if i:
            gate.wait(5)
        return i

    answers = in_threads(work, range(100), 2)
    assert next(answers) == 0
    gate.set()
    answers.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(begun) < 100


def test_blas_has_one_thread_while_anyone_holds_it() -> None:
    def threads() -> list[int]:
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    before = threads()
    assert before
    with one_blas_thread:
        with one_blas_thread:
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before


def test_a_blas_that_is_loaded_later_is_held_too() -> None:
    """In a process of its own: in this one every library may be there already."""
    script = """
from threadpoolctl import threadpool_info
from hpcore._blas import one_blas_thread
with one_blas_thread:
    before = {each["filepath"] for each in threadpool_info()}
import torch
with one_blas_thread:
    held = [each for each in threadpool_info() if each["user_api"] == "blas"]
assert {each["filepath"] for each in held} - before
assert {each["num_threads"] for each in held} == {1}
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.mark.parametrize(("row_bytes", "expected"), [(8, 1), (2**20, 3), (2**30, 3)])
def test_ranges_hold_every_row_once(row_bytes: int, expected: int) -> None:
    ranges = row_ranges(101, row_bytes, 3)
    assert len(ranges) == expected
    assert [row for part in ranges for row in range(part.start, part.stop)] == list(range(101))
