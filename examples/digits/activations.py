"""Files of activations of every network state on every split, made once and kept."""

import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import DataLoader, TensorDataset

import interlayer.record
from examples.digits.data import Split, Study, digits
from examples.digits.network import digits_network, train
from interlayer.record import record

STATES: tuple[Literal["untrained", "trained"], ...] = ("untrained", "trained")
SPLITS: tuple[Literal["train", "validation"], ...] = ("train", "validation")
RECORDING_BATCH = 256


@dataclass(frozen=True)
class Recording:
    """One file: a network state of one instance on one split."""

    path: Path
    instance: str
    state: Literal["untrained", "trained"]
    split: Literal["train", "validation"]


def recordings(study: Study, cache: Path, on_trained: Callable[[int, int], None] | None = None) -> list[Recording]:
    """Give the files of a study, from `cache` where the same study was made by the same code.

    `on_trained(instance, n_epochs)` follows each network that had to be trained. An interrupted run leaves nothing
    that a later one could take for a finished study.
    """
    directory = cache / f"{study.name}-{study_key(study)}"
    if not directory.exists():
        for outdated in cache.glob(f"{study.name}-*"):
            shutil.rmtree(outdated)
        unfinished = cache / f".{study.name}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with _reproducible():
            for instance in range(study.n_instances):
                n_epochs = _record_instance(study, instance, unfinished)
                if on_trained is not None:
                    on_trained(instance, n_epochs)
        unfinished.rename(directory)
    return _files(study, directory)


def study_key(study: Study) -> str:
    """Give a digest of all that decides the files of a study: its parameters, this code, and the version of torch."""
    digest = hashlib.sha256(json.dumps([dataclasses.asdict(study), torch.__version__]).encode())
    here = Path(__file__).parent
    recording = Path(interlayer.record.__file__).parent.glob("*.py")
    for source in (here / "data.py", here / "network.py", Path(__file__), *sorted(recording)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _files(study: Study, directory: Path) -> list[Recording]:
    return [
        Recording(directory / f"{instance}-{state}-{split}.safetensors", str(instance), state, split)
        for instance, state, split in itertools.product(range(study.n_instances), STATES, SPLITS)
    ]


def _record_instance(study: Study, instance: int, directory: Path) -> int:
    """Train one network, and record it before and after."""
    splits = digits(study, instance)
    network = digits_network(seed=instance)
    n_epochs = 0
    for state in STATES:
        if state == "trained":
            n_epochs = train(network, splits["train"], seed=instance)
        for split in SPLITS:
            record(network, _loader(splits[split]), directory / f"{instance}-{state}-{split}.safetensors")
    return n_epochs


def _loader(split: Split) -> "DataLoader[tuple[torch.Tensor, ...]]":
    data = TensorDataset(torch.from_numpy(split.images), torch.from_numpy(split.labels))
    return DataLoader(data, batch_size=RECORDING_BATCH)


@contextmanager
def _reproducible() -> Iterator[None]:
    """Fix what decides the last bits of the weights: deterministic kernels, and one thread.

    One is hardly slower than two for a network this small, and leaves a core to the service.
    """
    n_threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
        torch.use_deterministic_algorithms(deterministic)
