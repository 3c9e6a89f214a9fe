"""One job on one and on two workers: `python -m bench.parts [--layers 64] [--part-seconds 1.5]` prints JSON.

Every worker is a process of its own with one thread. What is compared is the time from the first claim to the report,
with all files in the page cache; the order of the runs is whole, parts on one worker, parts on two.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Jobs, NewJob
from contract.schemas import AnalysisRequest
from contract.settings import Settings

_SHA256 = "ab" * 32


def study(folder: Path, n_layers: int, n_per_class: int, n_classes: int, features: int) -> Path:
    """Write a file of layers that separate the classes better and better."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_classes), n_per_class)
    centres = rng.normal(size=(n_classes, features))
    arrays: dict[str, Any] = {"labels": labels}
    for number in range(n_layers):
        noise = rng.normal(size=(labels.size, features))
        arrays[f"{number:03d}.layer"] = (noise + 0.3 * number / n_layers * centres[labels]).astype(np.float32)
    path = folder / "study.npz"
    np.savez(path, **arrays)
    return path


def run(folder: Path, file: Path, workers: int, part_seconds: float) -> dict[str, Any]:
    """Analyse the file on so many workers of a new installation."""
    settings = Settings(data_dir=folder, part_seconds=part_seconds, worker_threads=1)
    database = Database(settings)
    database.upgrade()
    path = folder / Blobs(folder).artifact("a", _SHA256)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(file, path)
    environment = os.environ | {
        "INTERLAYER_DATA_DIR": str(folder),
        "INTERLAYER_PART_SECONDS": str(part_seconds),
        "INTERLAYER_WORKER_THREADS": "1",
    }
    processes = [
        subprocess.Popen([sys.executable, "-m", "worker.poll"], env=environment, stderr=subprocess.DEVNULL)
        for _ in range(workers)
    ]
    try:
        small = {"include": ["000.layer"]}
        for _ in range(2 * workers):  # each worker compiles, before anything is measured
            _ended(database, _submit(database, small))
        job = _submit(database, {"include": ["*"]})
        ended = _ended(database, job)
        sha256 = Jobs(database).report_sha256("a", job)
        return {
            "workers": workers,
            "parts": ended.execution.parts,
            "seconds": ended.execution.durations["running"],
            "took_part": len(ended.execution.workers),
            "report": sha256,
        }
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
        database.close()


def _submit(database: Database, layers: dict[str, Any]) -> str:
    request = AnalysisRequest.model_validate(
        {"inputs": [{"artifact": f"sha256:{_SHA256}"}], "layers": layers, "tests": {"n_resamples": 999}}
    )
    job = NewJob("a", "analysis", request.model_dump(mode="json"), "cpu", "f", inputs=[_SHA256])
    return Jobs(database).submit(job, max_unfinished=99)[0].id


def _ended(database: Database, job: str) -> Any:
    jobs, end = Jobs(database), time.monotonic() + 1000
    while time.monotonic() < end:
        analysis = jobs.get("a", job)
        assert analysis is not None
        if analysis.finished_at is not None:
            assert analysis.status == "succeeded", analysis.error
            return analysis
        time.sleep(0.05)
    raise TimeoutError(job)


def planning(file: Path, layers: int) -> dict[str, float]:
    """Return what looking whether to split costs beside a small analysis of so many layers, in this process."""
    from worker.analysis import analyze, open_study
    from worker.measuring import Resources
    from worker.part import planned

    request = AnalysisRequest.model_validate(
        {
            "inputs": [{"artifact": f"sha256:{_SHA256}"}],
            "layers": {"include": [f"{number:03d}.layer" for number in range(layers)]},
            "tests": {"n_resamples": 999},
        }
    )
    paths, resources = {f"sha256:{_SHA256}": file}, Resources(n_threads=1)
    analyze(request, paths, resources)
    begun = time.perf_counter()
    analyze(request, paths, resources)
    whole = time.perf_counter() - begun
    study, plans = open_study(request, paths, resources), []
    for _ in range(5):
        begun = time.perf_counter()
        assert planned(study, 20.0) == []
        plans.append(time.perf_counter() - begun)
    return {"layers": layers, "analysis_seconds": whole, "planning_seconds": sorted(plans)[2]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts", description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=int, default=64)
    parser.add_argument("--rows", type=int, default=300, help="rows of each class (default: 300)")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--part-seconds", type=float, default=1.5)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"arguments": vars(arguments), "runs": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = study(folder, arguments.layers, arguments.rows, arguments.classes, arguments.features)
        for number, (workers, part_seconds) in enumerate(
            [(1, 0.0), (1, arguments.part_seconds), (2, arguments.part_seconds)]
        ):
            data = folder / f"run{number}"
            data.mkdir()
            found["runs"].append(run(data, file, workers, part_seconds))
        found["planning"] = planning(file, 2)
    whole, one, two = found["runs"]
    found["same_report"] = len({each["report"] for each in found["runs"]}) == 1
    found["speed_up"] = one["seconds"] / two["seconds"]
    found["overhead_per_part_ms"] = 1000 * (one["seconds"] - whole["seconds"]) / one["parts"]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
