"""Architectures of torchvision and timm: which functions of these are called, and how.

Stand-ins take the place of the libraries. Their functions take what those of torchvision 0.28 and timm 1.0 take, and
note what they were given.
"""

import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from contract.registry import RegisteredModel, load_registry
from contract.schemas import ProblemError
from worker.models import registered

Calls = list[tuple[str, dict[str, Any]]]


def network(num_classes: int = 1000) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))


def torchvision(calls: Calls) -> ModuleType:
    """`torchvision.models`: `get_model(name, **config)`, `get_model_builder(name)`."""

    def resnet18(*, weights: Any = "DEFAULT", progress: bool = True, num_classes: int = 1000) -> nn.Module:
        calls.append(("resnet18", {"weights": weights, "progress": progress}))
        return network(num_classes)

    def deeplabv3(
        *, weights: Any = "DEFAULT", progress: bool = True, num_classes: int = 21, weights_backbone: Any = "DEFAULT"
    ) -> nn.Module:
        calls.append(("deeplabv3", {"weights": weights, "weights_backbone": weights_backbone}))
        return network(num_classes)

    builders: dict[str, Callable[..., nn.Module]] = {"resnet18": resnet18, "deeplabv3": deeplabv3}

    def get_model_builder(name: str) -> Callable[..., nn.Module]:
        if name not in builders:
            raise ValueError(f"Unknown model {name}")
        return builders[name]

    def get_model(name: str, **config: Any) -> nn.Module:
        return get_model_builder(name)(**config)

    made = ModuleType("torchvision")
    made.models = SimpleNamespace(get_model=get_model, get_model_builder=get_model_builder)  # type: ignore[attr-defined]  # a stand-in
    return made


def timm(calls: Calls) -> ModuleType:
    """`timm.create_model(model_name, pretrained=False, …, **kwargs)`."""

    def create_model(model_name: str, pretrained: bool = True, **kwargs: Any) -> nn.Module:
        calls.append((model_name, {"pretrained": pretrained}))
        if model_name != "resnet18":
            raise RuntimeError(f"Unknown model ({model_name})")
        return network(**kwargs)

    made = ModuleType("timm")
    made.create_model = create_model  # type: ignore[attr-defined]  # a stand-in
    return made


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    noted: Calls = []
    monkeypatch.setitem(sys.modules, "torchvision", torchvision(noted))
    monkeypatch.setitem(sys.modules, "timm", timm(noted))
    return noted


def build(entry: RegisteredModel, folder: Path, *, trained: bool = False) -> nn.Module:
    made = registered.build(entry, folder, trained=trained, seed=0, device="cpu", pooling=None)
    return made._module


@pytest.mark.parametrize(
    ("library", "name", "given"),
    [
        ("torchvision", "resnet18", {"weights": None, "progress": True}),
        ("torchvision", "deeplabv3", {"weights": None, "weights_backbone": None}),
        ("timm", "resnet18", {"pretrained": False}),
    ],
)
def test_nothing_is_fetched(calls: Calls, tmp_path: Path, library: str, name: str, given: dict[str, Any]) -> None:
    """Each is told so, and the arguments of the registry arrive."""
    entry = RegisteredModel.model_validate({library: name, "arguments": {"num_classes": 3}})
    made = build(entry, tmp_path)
    assert calls == [(name, given)]
    assert made(torch.zeros(1, 3, 8, 8)).shape == (1, 3)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_weights_come_from_the_file(calls: Calls, tmp_path: Path, library: str) -> None:
    weights = network(3)
    path = tmp_path / "model.safetensors"
    save_file(weights.state_dict(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = RegisteredModel.model_validate(
        {library: "resnet18", "arguments": {"num_classes": 3}, "weights": path, "sha256": sha256}
    )
    made = build(entry, tmp_path, trained=True)
    assert all(torch.equal(value, weights.state_dict()[name]) for name, value in made.state_dict().items())
    other = entry.model_copy(update={"arguments": {"num_classes": 4}})
    with pytest.raises(ProblemError) as caught:
        build(other, tmp_path, trained=True)
    assert caught.value.problem.code == "weights_mismatch"


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_an_architecture_that_is_not_there(calls: Calls, tmp_path: Path, library: str) -> None:
    with pytest.raises(ProblemError) as caught:
        build(RegisteredModel.model_validate({library: "resnet19"}), tmp_path)
    assert (caught.value.problem.code, "resnet19" in caught.value.problem.detail) == ("model_failed", True)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_an_address_is_no_architecture(tmp_path: Path, library: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(f"[models.m]\n{library} = 'hf-hub:timm/resnet18'\n")
    with pytest.raises(ProblemError) as caught:
        load_registry(path)
    assert (caught.value.problem.code, library in caught.value.problem.detail) == ("registry_invalid", True)


def test_a_library_of_another_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As torchvision of a GPU says it beside a torch for CPUs."""

    def broken(name: str) -> ModuleType:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ProblemError) as caught:
        build(RegisteredModel(torchvision="resnet18"), tmp_path)
    problem = caught.value.problem
    assert problem.code == "library_missing"
    assert all(said in problem.detail for said in ("torchvision::nms", torch.__version__, "goes with it"))
