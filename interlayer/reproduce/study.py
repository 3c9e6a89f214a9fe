"""Train, record and analyse every instance of an experiment. What is finished is kept, so a later run goes on."""

import dataclasses
import functools
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contract.schemas import Metric, Report, Split
from interlayer.errors import UsageError
from interlayer.local import LocalInput, analyze
from interlayer.reproduce import images
from interlayer.reproduce.experiments import BLOCKS, SPLITS, STATES, Experiment
from interlayer.reproduce.images import Images

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[str, float], None]

_RECORDING_BATCH = 256
_TRAINING_SHARE = 0.5  # of the progress of an instance
_DECIDING_CODE = (
    "contract/schemas/*.py", "hpcore/*.py", "worker/*.py", "interlayer/record/*.py",
    *(f"interlayer/reproduce/{name}.py" for name in ("images", "idx_files", "cifar_files", "network", "study")),
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """One experiment as it is to be run: with which data, how often, from which seed, and where it is kept."""

    experiment: Experiment
    folder: Path
    data: Path | None = None
    n_instances: int = 5
    seed: int = 0
    device: str = "cpu"


def run(study: Study, metrics: Sequence[Metric], on_progress: Progress) -> dict[Metric, Report]:
    """Return one report of all instances for each metric; `on_progress` is given what is done, and the share done.

    Raises
    ------
    UsageError
        If the data, PyTorch, the device or the room on disk is missing.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UsageError('training needs PyTorch: pip install "interlayer[models,worker]"') from error
    if study.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda needs a GPU that PyTorch can use; there is none")
    true = images.load(study.experiment, study.data, study.seed)
    reports: dict[Metric, list[Report]] = {metric: [] for metric in metrics}
    for instance in range(study.n_instances):

        def show(doing: str, share: float, instance: int = instance) -> None:
            on_progress(f"instance {instance}: {doing}", (instance + share) / study.n_instances)

        for metric, report in _instance_reports(study, true, instance, metrics, show).items():
            reports[metric].append(report)
    return {metric: merged(parts) for metric, parts in reports.items()}


def _instance_reports(
    study: Study, true: Mapping[Split, Images], instance: int, metrics: Sequence[Metric], show: Progress
) -> dict[Metric, Report]:
    splits = images.labelled(true, study.experiment, instance, study.seed)
    key = _key(study, splits, instance)
    paths = {metric: study.folder / "instances" / f"{instance}-{metric}-{key}.json" for metric in metrics}
    missing = [metric for metric, path in paths.items() if not path.exists()]
    if missing:
        activations = study.folder / "activations" / f"{instance}-{key}"
        if not activations.exists():
            _make_whole(activations, lambda part: _record(study, splits, instance, part, show))
        for number, metric in enumerate(missing):
            share = (1 - _TRAINING_SHARE) / len(missing)
            part = _Part(show, _TRAINING_SHARE + number * share, share)
            report = _analyze(study, activations, instance, metric, part)
            _make_whole(paths[metric], functools.partial(_write, content=report.to_bytes()))
        shutil.rmtree(activations)  # many gigabytes, and no longer needed
    return {metric: Report.model_validate_json(path.read_bytes()) for metric, path in paths.items()}


@dataclass(frozen=True)
class _Part:
    """The progress of a part of the work, as progress of the whole."""

    show: Progress
    start: float
    share: float

    def __call__(self, doing: str, done: float) -> None:
        self.show(doing, self.start + self.share * done)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _make_whole(path: Path, make: Callable[[Path], object]) -> None:
    """Let `make` write beside `path`, and move the result there once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")
    if part.is_dir():
        shutil.rmtree(part)  # of a run that was interrupted
    make(part)
    part.replace(path)


def _record(study: Study, splits: Mapping[Split, Images], instance: int, folder: Path, show: Progress) -> None:
    """Train one network, and record it before and after on both splits."""
    import numpy as np

    from interlayer.reproduce.network import train, untrained_network

    experiment = study.experiment
    seed, order = (int(word) for word in np.random.SeedSequence([study.seed, instance]).generate_state(2))
    n_classes = len(np.unique(splits["train"].labels))
    chosen = images.analysed(splits, experiment.per_class, study.seed)

    def on_epoch(epoch: int, loss: float) -> None:
        share = max(epoch / experiment.training.max_epochs, experiment.training.trained_loss / max(loss, 1e-12))
        show(f"training, epoch {epoch}, loss {loss:.3f}", _TRAINING_SHARE * min(1.0, share))

    with _reproducible(experiment.training.n_threads):
        network = untrained_network(experiment.architecture, splits["train"].images.shape[1:], n_classes, seed)
        folder.mkdir(parents=True)
        _require_room(network, chosen, folder)
        network.to(study.device)
        for state in STATES:
            if state == "trained":
                train(network, splits["train"], experiment.training, order, on_epoch)
            for split in SPLITS:
                _record_split(network, chosen[split], folder / f"{state}-{split}.safetensors")


def _record_split(network: "nn.Sequential", part: Images, path: Path) -> None:
    import torch

    from interlayer.record import record

    batches = zip(
        torch.split(torch.from_numpy(part.images), _RECORDING_BATCH),
        torch.split(torch.from_numpy(part.labels), _RECORDING_BATCH),
        strict=True,
    )
    record(network, batches, path)


def _require_room(network: "nn.Sequential", chosen: Mapping[Split, Images], folder: Path) -> None:
    """Refuse to start what cannot be stored: activations are many times the size of the images."""
    import torch

    value = torch.from_numpy(chosen["train"].images[:1])
    n_values = value.numel()
    with torch.no_grad():
        for layer in network:
            value = layer(value)
            n_values += value.numel()
    needed = len(STATES) * n_values * 4 * sum(len(part.labels) for part in chosen.values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"the activations of one instance take up to {needed / 1e9:.1f} GB, but {folder} has {free / 1e9:.1f} GB "
            "free: choose fewer images with --per-class, or another --out"
        )


def _analyze(study: Study, activations: Path, instance: int, metric: Metric, show: Progress) -> Report:
    inputs = [
        LocalInput(activations / f"{state}-{split}.safetensors", state, split, str(instance))
        for state, split in itertools.product(STATES, SPLITS)
    ]
    options: dict[str, object] = {"metric": metric, "components": dict(BLOCKS), "seed": study.seed}
    return analyze(
        inputs, options, on_progress=lambda stage, _done, _total, share: show(f"{metric} distance, {stage}", share)
    )


def merged(reports: Sequence[Report]) -> Report:
    """Return the report of all instances: every test is made within an instance, so nothing is computed anew."""
    from worker.findings import findings

    first = reports[0]
    report = first.model_copy(
        update={
            "provenance": first.provenance.model_copy(
                update={"inputs": [item for report in reports for item in report.provenance.inputs]}
            ),
            "separations": [part for report in reports for part in report.separations],
            "tests": [row for report in reports for row in report.tests],
            "warnings": list(
                {(warning.code, warning.message): warning for report in reports for warning in report.warnings}.values()
            ),
        }
    )
    return report.model_copy(update={"findings": findings(report)})


def _key(study: Study, splits: Mapping[Split, Images], instance: int) -> str:
    """Return a digest of all that decides the report of an instance: parameters, data, and the code that is run."""
    import torch

    decided = [dataclasses.asdict(study.experiment), instance, study.seed, study.device, torch.__version__]
    digest = hashlib.sha256(json.dumps(decided).encode())
    for part in splits.values():
        digest.update(part.images.data)
        digest.update(part.labels.data)
    digest.update(_code_digest())
    return digest.hexdigest()[:16]


@functools.cache
def _code_digest() -> bytes:
    """Return the digest of the code as this process found it first; what is edited later is not what runs."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for code in _DECIDING_CODE:
        for source in sorted(root.glob(code)):
            digest.update(source.read_bytes())
    return digest.digest()


@contextmanager
def _reproducible(wanted_threads: int | None) -> Iterator[None]:
    """Fix what decides the last bits of the weights: deterministic kernels, and the number of threads."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, CUDA's matrix products are refused
    n_threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(wanted_threads or n_threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
        torch.use_deterministic_algorithms(deterministic)
