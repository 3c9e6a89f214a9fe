"""In the parent: which files a job's models and data are, and their layers, recorded by a confined process."""

import hashlib
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from contract.formats import file_format
from contract.registry import RegisteredData, RegisteredModel, Registry, load_registry
from contract.schemas import AnalysisRequest, InputReference, Inspection, ModelSource, ProblemError
from worker.activations import ActivationFile, open_activations
from worker.arrays import Array
from worker.measuring import Resources
from worker.models.data import DataSet, open_data, open_registered
from worker.models.onnx_scan import MOST_BYTES
from worker.models.recording import Recorded, Recording, Run
from worker.sandbox import Confined, run_confined

_BLOCK_BYTES = 2**22
_RESULTS: TypeAdapter[list[Recorded]] = TypeAdapter(list[Recorded])


@dataclass(frozen=True)
class ModelRunning:
    """What the administrator decided about models: which there are, and how they are confined."""

    confined: Confined
    registry_file: Path | None = None

    def registry(self) -> Registry:
        """Return the names on offer."""
        return load_registry(self.registry_file)


def inspect_model(path: Path, running: ModelRunning) -> Inspection:
    """Return what is in an ONNX file."""
    with _scratch(running) as scratch:
        found, _ = run_confined(
            "worker.models.recording:inspect", {"path": str(path)}, running.confined, scratch=scratch, readable=[path]
        )
    try:
        return Inspection.model_validate(found)
    except ValidationError as error:
        raise ProblemError("invalid_onnx", "the inspection of the ONNX file gave no answer that can be used") from error


def open_labels(
    item: InputReference, paths: Mapping[str, Path], running: ModelRunning, resources: Resources
) -> DataSet:
    """Open the data of an input that is a model; its labels are known at once."""
    assert item.data is not None
    if item.data.name is not None:
        return open_registered(running.registry().data_set(item.data.name), item.split, resources.max_unpacked_bytes)
    assert item.data.artifact is not None
    return open_data(paths[item.data.artifact], resources.max_unpacked_bytes)


@contextmanager
def recorded(
    request: AnalysisRequest,
    files: Sequence[ActivationFile],
    rows: Sequence[Array | None],
    paths: Mapping[str, Path],
    running: ModelRunning,
    resources: Resources,
    on_progress: Callable[[int, int], None],
) -> Iterator[tuple[list[ActivationFile], list[str]]]:
    """Run the models of a request on `rows` of their data, and give all inputs as files, with notes on the run.

    The recorded files are there until the block ends.
    """
    numbers = [number for number, item in enumerate(request.inputs) if item.model is not None]
    registry = running.registry()
    with _scratch(running) as scratch:
        runs, readable, digests = [], [], []
        for number in numbers:
            item, used = request.inputs[number], rows[number]
            entry = None if item.model is None or item.model.name is None else registry.model(item.model.name)
            model, digest = _model_files(item, entry, paths, scratch)
            data: Path | RegisteredData
            if item.data is not None and item.data.name is not None:
                data = registry.data_set(item.data.name)
                readable += [value for _, value in data if isinstance(value, Path)]
            else:
                data = paths[item.data.artifact] if item.data is not None and item.data.artifact else Path()
                readable.append(data)
            readable.append(model)
            digests.append(digest)
            runs.append(
                Run(
                    model=model,
                    entry=entry,
                    trained=item.state == "trained",
                    seed=_seed(request.seed, item.instance),
                    pooling=item.model.pooling if item.model is not None else None,
                    data=data,
                    split=item.split,
                    rows=None if used is None else used.tolist(),
                    out=scratch / f"{number}.safetensors",
                )
            )
        work = Recording(
            runs=runs,
            layers=request.layers,
            device=request.device,
            n_threads=resources.n_threads,
            memory_bytes=resources.memory_bytes,
            max_unpacked_bytes=resources.max_unpacked_bytes,
        )
        confined = replace(
            running.confined,
            n_threads=resources.n_threads,
            gpu=request.device != "cpu" and Path("/dev/nvidiactl").exists(),
        )
        answer, notes = run_confined(
            "worker.models.recording:record",
            work.model_dump(mode="json"),
            confined,
            scratch=scratch,
            readable=readable,
            on_progress=on_progress,
        )
        try:
            results = _RESULTS.validate_python(answer)
        except ValidationError as error:
            raise ProblemError(
                "model_failed", "the process that ran the model gave no answer that can be used"
            ) from error
        found = list(files)
        for number, run, result, digest in zip(numbers, runs, results, digests, strict=True):
            file = open_activations(run.out, max_unpacked_bytes=resources.max_unpacked_bytes)
            source = _source(request.inputs[number], run, result, digest)
            found[number] = replace(
                files[number],
                layers=file.layers,
                rows=rows[number],
                source=source,
                left_out=tuple(f"{name!r} ({why})" for name, why in result.left_out.items()),
            )
            notes += result.notes
        yield found, list(dict.fromkeys(notes))


@contextmanager
def _scratch(running: ModelRunning) -> Iterator[Path]:
    parent = running.confined.hidden / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="model-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


def _seed(seed: int, instance: str) -> int:
    """Return the seed of an untrained twin: one network for all splits and steps of an instance."""
    return int(np.random.SeedSequence([seed, zlib.crc32(instance.encode())]).generate_state(1)[0])


def _source(item: InputReference, run: Run, result: Recorded, digest: str | None) -> ModelSource:
    assert item.model is not None
    assert item.data is not None
    default = "none" if run.entry is None else run.entry.pooling
    return ModelSource(
        model=item.model.name or item.model.artifact or "",
        model_sha256=digest,
        data=item.data.name or item.data.artifact or "",
        data_sha256=result.data_sha256,
        pooling=item.model.pooling or default,
    )


def _model_files(
    item: InputReference, entry: RegisteredModel | None, paths: Mapping[str, Path], scratch: Path
) -> tuple[Path, str | None]:
    """Return an ONNX file, or a folder with a private copy of a registered model's weights, and their digest."""
    assert item.model is not None
    if entry is None:
        assert item.model.artifact is not None
        path = paths[item.model.artifact]
        if not path.is_file():
            raise ProblemError("artifact_not_found", f"the file of {item.model.artifact} is gone; upload it again")
        if file_format(path) != "onnx":
            raise ProblemError("not_a_model", f"{item.model.artifact} is no ONNX file; give it as `artifact` or `data`")
        if path.stat().st_size > MOST_BYTES:
            raise ProblemError("model_too_large", f"the ONNX file has more than {MOST_BYTES} bytes")
        return path, item.model.artifact.removeprefix("sha256:")
    trained = item.state == "trained"
    if trained and not entry.trained:
        name = item.model.name
        raise ProblemError(
            "weights_unavailable", f"{name!r} is registered without weights and `sha256`; ask for state 'untrained'"
        )
    folder = scratch / hashlib.sha256(f"{item.model.name}/{trained}".encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    if entry.transformers is not None:
        if not (entry.transformers / "config.json").is_file():
            raise ProblemError(
                "weights_unavailable",
                f"the folder {entry.transformers.name} of {item.model.name!r} is not there, or has no config.json; "
                "tell the administrator",
            )
        for path in sorted(entry.transformers.glob("*.json")):
            _copy(path, folder / path.name)
    weights = entry.weights if entry.transformers is None else entry.transformers / "model.safetensors"
    if not trained or weights is None:
        return folder, None
    if not weights.is_file() and entry.transformers is not None and list(weights.parent.glob("*.bin")):
        raise ProblemError(
            "weights_unavailable",
            f"{weights.parent.name} holds pickled weights only, which are never opened; save the model again with "
            "save_pretrained, which writes model.safetensors",
        )
    digest = _copy(weights, folder / "model.safetensors")
    if digest != entry.sha256:
        raise ProblemError(
            "weights_mismatch",
            f"the weights of {item.model.name!r} have the SHA-256 {digest}, registered is {entry.sha256}; "
            "tell the administrator",
        )
    _require_safetensors(folder / "model.safetensors", weights.name)
    return folder, digest


def _require_safetensors(path: Path, name: str) -> None:
    try:
        said = f"it is .{found}" if (found := file_format(path)) != "safetensors" else ""
    except ProblemError as error:
        said = error.problem.detail
    if said:
        raise ProblemError(
            "weights_mismatch",
            f"the registered file {name} is no .safetensors file ({said}); tell the administrator",
        )


def _copy(source: Path, target: Path) -> str:
    """Copy a file and return the digest of what was copied: what happens to the original later does not matter."""
    digest = hashlib.sha256()
    try:
        with source.open("rb") as read, target.open("wb") as write:
            while block := read.read(_BLOCK_BYTES):
                digest.update(block)
                write.write(block)
    except FileNotFoundError as error:
        raise ProblemError("weights_unavailable", f"the registered file {source.name} is not there") from error
    return digest.hexdigest()
