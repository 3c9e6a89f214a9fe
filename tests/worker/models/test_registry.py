"""The registry of models and data: a wrong one says where, and its paths are relative to it."""

from pathlib import Path

import pytest

from contract.registry import load_registry
from contract.schemas import ProblemError
from tests.worker.models.bench import code_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.m]\n", "exactly one"),
        ("[models.m]\nfactory = 'os.system'\n", "factory"),
        ("[models.m]\nfactory = 'a:b'\nweights = 'w'\n", "sha256"),
        ("[models.m]\nfactory = 'a:b'\nweight = 'w'\n", "weight"),
        ("[models.m]\nfactory = 'a:b'\n[models.m.input]\nmean = [1.0]\n", "std"),
        ("[data.d]\nimages = 'x'\n", "size"),
        ("[data.d]\n", "exactly one"),
        ("[models", "TOML"),
    ],
)
def test_a_wrong_registry_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(ProblemError) as caught:
        load_registry(path)
    assert (caught.value.problem.code, said in caught.value.problem.detail) == ("registry_invalid", True), caught.value


def test_paths_are_relative_to_the_registry(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("[data.d]\ntrain = 'x/d.npz'\n")
    assert load_registry(tmp_path / "models.toml").data_set("d").train == tmp_path / "x" / "d.npz"
    assert load_registry(None).models == {}
    assert code_of(lambda: load_registry(tmp_path / "none.toml")) == "registry_invalid"
