"""Estimates against real runs: analyses of many shapes in a computing process of a worker, measured from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import data
from contract.predictions import KnownInput, Prediction, predict
from contract.schemas import AnalysisRequest, InputReference
from contract.shapes import Processor
from worker.activations import open_activations
from worker.messages import EVENTS, Event, LayersEvent, ProgressEvent, Work

_START, _END = "<!-- estimates:start -->", "<!-- estimates:end -->"


@dataclass(frozen=True)
class Trial:
    """An analysis of synthetic files."""

    rows: int  # of a class
    classes: int
    features: tuple[int, ...]
    dtype: str = "float32"
    format: str = "npz"
    splits: int = 1
    threads: int = 1
    request: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What the tables call it."""
        widths = ", ".join(str(width) for width in self.features[:3]) + (", …" if len(self.features) > 3 else "")
        extras = "".join(f", {value}" for _, value in self.request)
        return (
            f"{self.classes} × {self.rows}, d = {widths} ({len(self.features)} layers), {self.dtype}, {self.format}"
            f"{', both splits' if self.splits > 1 else ''}{extras}, {self.threads} thread{'s'[: self.threads - 1]}"
        )


@dataclass(frozen=True)
class Outcome:
    """What was predicted for an analysis, and what it took."""

    prediction: Prediction
    seconds: float  # on the clock
    processor_seconds: float
    memory_bytes: int
    event: Event


class ComputingProcess:
    """The computing process of a worker, as `worker.child_process.Child` starts it."""

    def __init__(self, blobs: Path) -> None:
        self._blobs = blobs
        (blobs / "tmp").mkdir(exist_ok=True)  # where a worker writes reports
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker.child", "--warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> ComputingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, request: AnalysisRequest, paths: dict[str, Path], threads: int) -> Outcome:
        """Analyse; the peak of the resident memory is the kernel's own count."""
        known = [known_input(item, paths) for item in request.inputs]
        idle = self._warm()
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        used, begun = self._processor_seconds(), time.perf_counter()
        event = self._perform(request, paths, threads)
        seconds, used = time.perf_counter() - begun, self._processor_seconds() - used
        return Outcome(predict(request, known, Processor(threads)), seconds, used, self._status("VmHWM") - idle, event)

    def _warm(self) -> int:
        """Wait for the process to be ready, by having it do something small; return its resident bytes."""
        tiny = Path(tempfile.mkdtemp(dir=self._blobs)) / "tiny.npz"
        rng = np.random.default_rng(0)
        np.savez(tiny, labels=np.repeat([0, 1, 2], 90), a=rng.random((270, 8)), b=rng.random((270, 20)))
        request = AnalysisRequest(inputs=[InputReference(artifact=artifact_id(0))])
        self._perform(request, {artifact_id(0): tiny}, 1)
        return self._status("VmRSS")

    def _perform(self, request: AnalysisRequest, paths: dict[str, Path], threads: int) -> Event:
        work = Work(
            kind="analysis",
            request=request.model_dump(mode="json"),
            inputs={artifact: str(path) for artifact, path in paths.items()},
            blobs=str(self._blobs),
            max_unpacked_bytes=2**40,
            n_threads=threads,
            memory_bytes=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(work.model_dump_json() + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            event = EVENTS.validate_json(line)
            if not isinstance(event, ProgressEvent | LayersEvent):
                return event
        raise RuntimeError("the computing process died")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

    def _processor_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def artifact_id(number: int) -> str:
    """An id for a file that was never uploaded."""
    return f"sha256:{number:064x}"


def known_input(item: InputReference, paths: dict[str, Path]) -> KnownInput:
    """What a service knows of an input once a worker has looked into its file."""
    assert item.artifact is not None
    path = paths[item.artifact]
    inspection = open_activations(path, max_unpacked_bytes=2**40).inspection()
    return KnownInput(item, inspection, "npz" if path.suffix == ".npz" else "safetensors", path.stat().st_size)


def written(trial: Trial, folder: Path) -> tuple[AnalysisRequest, dict[str, Path]]:
    """Write the files of a trial and return its request."""
    paths, inputs = {}, []
    labels = data.labels(trial.classes, trial.rows)
    for number, split in enumerate(("train", "validation")[: trial.splits]):
        layers = {
            f"{i}.d{width}": data.relu(width, trial.classes, trial.rows, seed=10 * number + i).astype(trial.dtype)
            for i, width in enumerate(trial.features)
        }
        path = folder / f"{split}.{trial.format.removesuffix(', deflated')}"
        if path.suffix == ".npz":
            save = np.savez_compressed if "deflated" in trial.format else np.savez
            save(path, labels=labels, **layers)  # type: ignore[arg-type]  # names are layers, never options
        else:
            from safetensors.numpy import save_file

            save_file({"labels": labels, **layers}, path)
        paths[artifact_id(number + 1)] = path
        inputs.append({"artifact": artifact_id(number + 1), "split": split})
    return AnalysisRequest.model_validate({"inputs": inputs, **dict(trial.request)}), paths


def outcomes(trials: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]:
    """Run trials one after the other, each in a fresh process."""
    for trial in trials:
        with tempfile.TemporaryDirectory() as name, ComputingProcess(Path(name)) as process:
            yield trial, process.run(*written(trial, Path(name)), trial.threads)


_SCORE, _SHIFT, _TREND = (
    (("tests", {"membership": "score"}),),
    (("tests", {"shift": True}),),
    (("sampling", {"trend": True}),),
)
TRIALS = [
    Trial(10, 10, (64, 64, 10)),
    Trial(100, 10, (64, 256, 10), splits=2),
    Trial(1000, 10, (64, 10)),
    Trial(1000, 10, (512, 64), threads=2),
    Trial(500, 10, (3072, 512), "float16", "safetensors", splits=2),
    Trial(300, 10, (8192,), "float32", "safetensors"),
    Trial(300, 10, (2048,), "float64", "npz, deflated"),
    Trial(300, 10, (2048,), "float32", "npz", request=(("metric", "cosine"),)),
    Trial(400, 10, (2048,), "float32", "npz", request=(("sampling", {"per_class": 200}),)),
    Trial(5000, 2, (64, 16)),
    Trial(40, 30, (256, 64), splits=2),
    Trial(20, 100, (64, 64, 64), splits=2),
    Trial(10, 300, (64,), request=(("tests", {"n_resamples": 2000}),)),
    Trial(4, 1000, (32, 32), request=(("tests", {"n_resamples": 999}),)),
    Trial(100, 10, (64, 512), splits=2, request=_SCORE),
    Trial(100, 10, (64, 512), splits=2, request=_SHIFT),
    Trial(400, 10, (64, 512), request=_TREND),
    Trial(100, 5, (30_000,), "float32", "safetensors"),
    Trial(50, 10, (64,) * 60),
]


def figures(trials: Sequence[Trial] = TRIALS) -> list[dict[str, Any]]:
    """Run trials; predicted and measured seconds of the processor, and bytes."""
    found = []
    for trial, outcome in outcomes(trials):
        row = {
            "name": trial.name,
            "predicted_seconds": outcome.prediction.seconds,
            "seconds": outcome.processor_seconds / trial.threads,
            "predicted_bytes": outcome.prediction.memory_bytes,
            "bytes": outcome.memory_bytes,
        }
        found.append(row)
        print(f"  {markdown_row(row)}", flush=True)
    return found


def markdown_row(row: Mapping[str, Any]) -> str:
    """One line of the table."""
    seconds, memory = row["predicted_seconds"] / row["seconds"], row["predicted_bytes"] / row["bytes"]
    return (
        f"| {row['name']} | {row['predicted_seconds']:.2f} | {row['seconds']:.2f} | {seconds:.2f} "
        f"| {row['predicted_bytes'] / 1e6:.0f} | {row['bytes'] / 1e6:.0f} | {memory:.2f} |"
    )


def write_page(found: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Replace the measured part of ``docs/estimates.md``."""
    before, rest = page.read_text().split(_START)
    lines = [
        "| analysis | s, estimated | s, taken | ratio | MB, estimated | MB, taken | ratio |",
        "|---|---|---|---|---|---|---|",
        *map(markdown_row, found),
    ]
    page.write_text(f"{before}{_START}\n" + "\n".join(lines) + f"\n{_END}{rest.split(_END)[1]}")
