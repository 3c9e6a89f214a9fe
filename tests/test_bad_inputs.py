"""Of the catalogue of bad inputs, none is forgotten, and none names a test that is gone."""

import ast
from pathlib import Path

import pytest

from tests import bad_inputs
from tests.bad_inputs import CATALOGUE

TESTS = Path(__file__).parent


def names_in(path: Path) -> set[str]:
    """Return the functions, and the methods as `Class::method`, of a file."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


def cases_of(function: str) -> set[str]:
    from tests.service.test_bad_requests import REQUESTS
    from tests.worker.bad_archives import NPZ
    from tests.worker.bad_tensors import SAFETENSORS
    from tests.worker.models.test_cost_of_bad_models import ONNX

    return {
        bad_inputs.REQUESTS: set(REQUESTS),
        bad_inputs.FILES: {*NPZ, *SAFETENSORS},
        bad_inputs.MODELS: set(ONNX),
    }[function]


@pytest.mark.parametrize("what", CATALOGUE)
def test_the_test_is_there(what: str) -> None:
    for test in CATALOGUE[what]:
        function, bracket, case = test.partition("[")
        file, _, name = function.partition("::")
        assert (TESTS / file).exists(), test
        assert name == "" or name in names_in(TESTS / file), test
        assert not bracket or case.removesuffix("]") in cases_of(function), test


def test_nothing_was_taken_out() -> None:
    assert len(CATALOGUE) == 78
