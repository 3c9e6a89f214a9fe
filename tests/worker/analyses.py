"""Files with their roles, analysed on demand, and what the slow reference says of them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.schemas import AnalysisRequest, ProblemError, Report, Separation
from tests import oracle
from tests.worker import files
from worker.analysis import analyze
from worker.measuring import Resources

ONE_THREAD = Resources(n_threads=1)
LAYERS = ["0.Input", "1.Conv", "2.Softmax"]


class Study:
    """Files with their roles, analysed on demand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.inputs: list[dict[str, Any]] = []
        self.paths: dict[str, Path] = {}

    def add(self, arrays: dict[str, Any], **role: Any) -> "Study":
        path = files.write_npz(self._folder / f"{len(self.inputs)}.npz", arrays)
        artifact = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        self.inputs.append({"artifact": artifact, **role})
        self.paths[artifact] = path
        return self

    def report(self, resources: Resources = ONE_THREAD, on_progress: Any = None, **options: Any) -> Report:
        options.setdefault("tests", {"n_resamples": 99})
        request = AnalysisRequest.model_validate({"inputs": self.inputs, **options})
        more = {} if on_progress is None else {"on_progress": on_progress}
        return analyze(request, self.paths, resources, **more)[0]

    def refused(self, **options: Any) -> Any:
        with pytest.raises(ProblemError) as caught:
            self.report(**options)
        return caught.value.problem


def expected_statistic(points: files.Array, labels: files.Array, metric: str = "euclidean") -> list[float]:
    """1 - R (m + n) / (2 m n) of every pair by the reference."""
    _, counts = np.unique(labels, return_counts=True)
    crossing = oracle.pairwise_cross_edges(points, labels, metric)
    pairs = [(m, n) for i, m in enumerate(counts) for n in counts[i + 1 :]]
    return [1 - r * (m + n) / (2 * m * n) for r, (m, n) in zip(crossing, pairs, strict=True)]


def separation(report: Report, layer: str, **role: Any) -> Separation:
    (found,) = [s for s in report.separations if s.layer == layer and all(getattr(s, k) == v for k, v in role.items())]
    return found


def whole_study(study: Study) -> Study:
    arrays = {role: files.study_arrays(seed, n_per_class=36) for seed, role in enumerate(("train", "validation"))}
    for split, found in arrays.items():
        study.add(found, state="trained", split=split)
        weak = {name: array if name == "labels" else array * 0.9 for name, array in found.items()}
        study.add(weak, state="untrained", split=split)
    return study
