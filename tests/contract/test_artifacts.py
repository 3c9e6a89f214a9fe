"""Rows of uploaded files."""

import pytest

from contract.artifacts import Artifacts
from contract.database import Database
from contract.schemas import InspectedLayer, Inspection, Problem

ONE, TWO = "1f" * 32, "2e" * 32


@pytest.fixture
def artifacts(any_database: Database) -> Artifacts:
    return Artifacts(any_database)


def test_a_new_file_waits_for_inspection(artifacts: Artifacts) -> None:
    made, new = artifacts.add("a", ONE, 2**40, "npz")
    assert new
    assert (made.id, made.bytes, made.format, made.status) == (f"sha256:{ONE}", 2**40, "npz", "pending")
    assert artifacts.get("a", ONE) == made


def test_the_same_file_again_is_known_and_unchanged(artifacts: Artifacts) -> None:
    first, _ = artifacts.add("a", ONE, 5, "npz")
    again, new = artifacts.add("a", ONE, 5, "npz")
    assert (again, new) == (first, False)


def test_tenants_do_not_see_each_other(artifacts: Artifacts) -> None:
    artifacts.add("a", ONE, 5, "npz")
    assert artifacts.get("b", ONE) is None
    assert not artifacts.delete("b", ONE)
    assert artifacts.add("b", ONE, 5, "npz")[1], "that others have the same bytes can't be noticed"
    artifacts.inspected("b", ONE, Problem.of("corrupt_archive", "…"))
    mine = artifacts.get("a", ONE)
    assert mine is not None
    assert mine.status == "pending"


def test_what_a_worker_found_is_kept(artifacts: Artifacts) -> None:
    artifacts.add("a", ONE, 5, "npz")
    artifacts.add("a", TWO, 5, "safetensors")
    layers = [InspectedLayer(name="0.Input\x00\n", shape=[4, 3], dtype="float32")]
    inspection = Inspection(rows=4, classes={"cat": 2, "dög": 2}, layers=layers)
    artifacts.inspected("a", ONE, inspection)
    problem = Problem.of("non_finite", "layer 'x' holds NaN")
    artifacts.inspected("a", TWO, problem)
    good, bad = artifacts.get("a", ONE), artifacts.get("a", TWO)
    assert good is not None
    assert bad is not None
    assert (good.status, good.inspection, good.error) == ("ready", inspection, None)
    assert (bad.status, bad.inspection, bad.error) == ("invalid", None, problem)


def test_a_deleted_file_is_gone(artifacts: Artifacts) -> None:
    artifacts.add("a", ONE, 5, "npz")
    assert artifacts.delete("a", ONE)
    assert artifacts.get("a", ONE) is None
    assert not artifacts.delete("a", ONE)
    assert artifacts.add("a", ONE, 5, "npz")[1]
