"""The form of a new analysis as a request."""

import pytest

from contract.schemas import ProblemError
from service.pages.form import DEFAULTS, Filled

ONE, OTHER = "sha256:" + "0" * 64, "sha256:" + "1" * 64


def test_an_empty_form_asks_for_what_the_schema_defaults_to() -> None:
    request = Filled({f"role-{ONE}": "trained-train"}).request()
    (item,) = request.inputs
    assert (item.artifact, item.state, item.split, item.instance, item.step) == (ONE, "trained", "train", "0", None)
    plain = type(request)(inputs=[item])
    assert request == plain, "a field that nobody touched changes nothing"
    assert set(DEFAULTS) <= {"metric", "per_class", "seed", "n_resamples", "classes", "membership", "include"}


def test_every_field_arrives() -> None:
    values = {
        f"role-{ONE}": "untrained-validation", f"instance-{ONE}": "b", f"step-{ONE}": "7", f"role-{OTHER}": "",
        "metric": "cosine", "per_class": "50", "include": "1.*, 2.*", "exclude": "2.Dense", "seed": "3",
        "components": "early = 1.Conv, 2.Conv\r\nlate=3.Conv, 4.Conv\r\n\r\n", "tags": "study = a = b",
        "classes": "sample", "membership": "score", "n_resamples": "999", "trend": "on", "shift": "on",
    }  # fmt: skip
    request = Filled(values).request()
    (item,) = request.inputs
    assert (item.state, item.split, item.instance, item.step) == ("untrained", "validation", "b", 7)
    assert (request.metric, request.sampling.per_class, request.sampling.trend) == ("cosine", 50, True)
    assert (request.layers.include, request.layers.exclude) == (["1.*", "2.*"], ["2.Dense"])
    assert request.components == {"early": ["1.Conv", "2.Conv"], "late": ["3.Conv", "4.Conv"]}
    assert request.tags == {"study": "a = b"}
    assert (request.tests.classes, request.tests.membership, request.tests.shift) == ("sample", "score", True)
    assert (request.tests.n_resamples, request.seed) == (999, 3)


def test_models_are_inputs_too() -> None:
    values = {
        "model-0": "name:digits-cnn", "data-0": "name:digits", "modelrole-0": "untrained-train",
        "model-2": ONE, "data-2": OTHER, "modelrole-2": "trained-validation", "data-3": OTHER,
    }  # fmt: skip
    first, second = Filled(values).request().inputs
    assert first.model is not None
    assert first.data is not None
    assert (first.model.name, first.data.name, first.state, first.split) == (
        "digits-cnn",
        "digits",
        "untrained",
        "train",
    )
    assert second.model is not None
    assert second.data is not None
    assert (second.model.artifact, second.data.artifact, second.split) == (ONE, OTHER, "validation")


@pytest.mark.parametrize(
    ("field", "content", "said"),
    [
        ("metric", "manhattan", "metric"),
        ("per_class", "many", "per_class"),
        ("seed", "-1", "seed"),
        ("n_resamples", "1e9", "n_resamples"),
        ("tags", "no sign", "NAME = VALUE"),
        ("components", "= a, b", "NAME = VALUE"),
        (f"step-{ONE}", "soon", "step"),
        (f"role-{ONE}", "", "at least one file"),
        (f"role-{ONE}", "elsewhere", "state"),
    ],
)
def test_what_cannot_be_used_is_named(field: str, content: str, said: str) -> None:
    with pytest.raises(ProblemError) as caught:
        Filled({f"role-{ONE}": "trained-train", field: content}).request()
    problem = caught.value.problem
    assert problem.code == "invalid_request"
    assert said in problem.detail + "".join(error.pointer for error in problem.errors or [])


def test_an_address_marks_files_and_nothing_else() -> None:
    filled = Filled.of_files([ONE, f"{OTHER}@untrained-validation", "x@<script>"])
    assert filled.chosen() == [ONE, OTHER, "x"]
    assert filled[f"role-{OTHER}"] == "untrained-validation"
    assert filled["role-x"] == "trained-train"
