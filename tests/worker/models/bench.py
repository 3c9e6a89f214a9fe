"""Files, a registry, and analyses of inputs that name them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from contract.schemas import AnalysisRequest, ProblemError, Report
from worker.analysis import analyze
from worker.measuring import Resources
from worker.models.sources import ModelRunning
from worker.sandbox import Confined

ONE_THREAD = Resources(n_threads=1)


class Bench:
    """Files and a registry, and analyses of inputs that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: dict[str, Path] = {}
        self._toml: list[str] = []
        self.running = ModelRunning(Confined(hidden=folder / "hidden", seconds=300.0), folder / "models.toml")
        self.device = ""

    def file(self, path: Path) -> dict[str, str]:
        artifact = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        self.paths[artifact] = path
        return {"artifact": artifact}

    def register(self, section: str, **values: Any) -> None:
        lines = [
            f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
            for name, value in values.items()
        ]
        self._toml.append("\n".join([f"[{section}]", *lines]))
        (self.folder / "models.toml").write_text("\n".join(self._toml))

    def weights(self, name: str, network: torch.nn.Module) -> dict[str, str]:
        path = self.folder / f"{name}.safetensors"
        save_file(network.state_dict(), path)
        return {"weights": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    def report(self, *inputs: dict[str, Any], resources: Resources = ONE_THREAD, **options: Any) -> Report:
        request = AnalysisRequest.model_validate({"inputs": inputs, "tests": {"n_resamples": 99}, **options})
        report, self.device = analyze(request, self.paths, resources, running=self.running)
        assert list(self.folder.glob("hidden/tmp/*")) == [], "nothing is left behind"
        return report

    def refused(self, *inputs: dict[str, Any], **options: Any) -> Any:
        with pytest.raises(ProblemError) as caught:
            self.report(*inputs, **options)
        return caught.value.problem


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value.problem.code


def counts(report: Report) -> dict[str, list[float]]:
    return {found.layer: found.pairs.cross_edges for found in report.separations}
