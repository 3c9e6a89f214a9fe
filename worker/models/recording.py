"""The work of the confined process: look into a model, or run models on data and record their layers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict

from contract.layer_names import INPUT_LAYER
from contract.registry import Preprocessing, RegisteredData, RegisteredModel
from contract.schemas import InspectedLayer, Inspection, LayerSelection, Pooling, ProblemError, Split
from worker.arrays import MAX_ARRAYS, Array
from worker.models.batches import DTYPES, LEFT_GPU, RESERVED_NAMES, LayeredModel, LayerFile, run_all
from worker.models.data import Batch, DataSet, RowDigest, open_data, open_registered
from worker.models.onnx_model import OnnxModel, onnx_layers
from worker.models.onnx_scan import scan_onnx
from worker.selection import require_layer, select_layers

_PROBED_ROWS = 4
_PROBED_LAYERS = 32  # alive at once while their sizes are not known
_BATCH_ROWS = 64
_DEFAULT_BUDGET_BYTES = 2**29
_GLOB = frozenset("*?[")
_SHOWN = 8
_CONTROL_CHARACTERS = dict.fromkeys([*range(32), 127])


Probed: TypeAlias = tuple[dict[str, Array], dict[str, str]]  # a few rows of every layer, and what is none, with why


class Run(BaseModel):
    """One model on one split of the data. `model` is an ONNX file, or the folder of a registered model's weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    entry: RegisteredModel | None
    trained: bool
    seed: int
    pooling: Pooling | None
    data: Path | RegisteredData
    split: Split
    rows: list[int] | None
    out: Path


class Recording(BaseModel):
    """All models of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: list[Run]
    layers: LayerSelection
    device: Literal["auto", "cpu", "cuda"]
    n_threads: int | None
    memory_bytes: int | None
    max_unpacked_bytes: int


class Recorded(BaseModel):
    """What became of a run: what is known of the data it saw, where it ran, and what had to be done for memory."""

    data_sha256: str
    device: str
    notes: list[str]
    left_out: dict[str, str]


def inspect(payload: dict[str, Any], _on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Return the inspection of an ONNX file."""
    graph = scan_onnx(Path(payload["path"]))
    names = [INPUT_LAYER, *onnx_layers(graph)]
    layers = [InspectedLayer(name=name, shape=[], dtype="") for name in names[:MAX_ARRAYS]]
    return Inspection(kind="model", rows=0, classes={}, layers=layers).model_dump()


def record(payload: dict[str, Any], on_progress: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Run every model and write its layers."""
    work = Recording.model_validate(payload)
    found = []
    for number, run in enumerate(work.runs):

        def show(share: float, number: int = number) -> None:
            on_progress(round(1000 * (number + share)), 1000 * len(work.runs))

        found.append(_record(run, work, show).model_dump())
    return found


def _record(run: Run, work: Recording, show: Callable[[float], None]) -> Recorded:
    if isinstance(run.data, Path):
        data = open_data(run.data, work.max_unpacked_bytes)
    else:
        data = open_registered(run.data, run.split, work.max_unpacked_bytes)
    rows = np.arange(len(data.codes)) if run.rows is None else np.array(run.rows, dtype=np.int64)
    steps = None if run.entry is None else run.entry.input
    seen = RowDigest(data.codes[rows])
    take = _taking(data, rows, steps, seen)
    if work.n_threads and run.entry is not None:
        import torch

        torch.set_num_threads(work.n_threads)
    probe: Batch = {}
    try:
        model = _model(run, work)
        probe = take(0, min(_PROBED_ROWS, len(rows)))
        (samples, left_out), notes = _probe_where_it_fits(model, probe, work)
        file = LayerFile(run.out, data.codes[rows].astype(np.int64), samples, rows)
        batch_size = _BATCH_ROWS if run.entry is None else run.entry.batch_size
        notes += run_all(
            model, list(samples), len(rows), batch_size, take, file.write,
            may_leave_gpu=work.device == "auto", on_rows=lambda done: show(done / len(rows)),
        )  # fmt: skip
    except (ProblemError, MemoryError):
        raise
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0].translate(_CONTROL_CHARACTERS)[:300]
        given = ", ".join(f"`{name}` {array.dtype}, rows of {list(array.shape[1:])}" for name, array in probe.items())
        raise ProblemError(
            "model_failed",
            f"the model cannot be run on these data ({given or 'not read yet'}): {text or type(error).__name__}",
        ) from error
    return Recorded(data_sha256=seen.hexdigest(), device=model.device, notes=notes, left_out=left_out)


def _taking(data: DataSet, rows: Array, steps: Preprocessing | None, seen: RowDigest) -> Callable[[int, int], Batch]:
    def take(first: int, end: int) -> Batch:
        batch = data.take(rows[first:end])
        seen.update(first, batch)
        if steps is None:
            return batch
        from worker.models.registered import prepared

        return prepared(batch, steps)

    return take


def _model(run: Run, work: Recording) -> LayeredModel:
    if run.entry is None:
        budget = work.memory_bytes or _DEFAULT_BUDGET_BYTES
        model = OnnxModel(run.model, device=work.device, n_threads=work.n_threads, budget_bytes=budget)
        return model if run.pooling in (None, "none") else _Pooled(model, run.pooling)
    from worker.models.registered import build

    return build(run.entry, run.model, trained=run.trained, seed=run.seed, device=work.device, pooling=run.pooling)


class _Pooled:
    """A model of which the token axis of every output with three axes is pooled."""

    def __init__(self, model: LayeredModel, pooling: Pooling) -> None:
        self._model, self._pooling = model, pooling
        self.names, self.is_out_of_memory = model.names, model.is_out_of_memory
        self.device = model.device

    def to_cpu(self) -> bool:
        """Go on without the GPU; False where there was none."""
        moved = self._model.to_cpu()
        self.device = self._model.device
        return moved

    def run(self, batch: Mapping[str, Array], layers: Sequence[str], put: Callable[[str, Array], None]) -> None:
        """Compute layers of a batch and hand over each, pooled."""
        mask = batch.get("attention_mask")
        self._model.run(batch, layers, lambda name, rows: put(name, self._pool(rows, mask)))
        self.device = self._model.device

    def _pool(self, rows: Array, mask: Array | None) -> Array:
        if rows.ndim != 3 or rows.dtype.kind != "f":
            return rows
        if self._pooling == "cls":
            return rows[:, 0]
        if mask is None or mask.shape != rows.shape[:2]:
            return np.asarray(rows.mean(1))
        weights = mask[:, :, None].astype(rows.dtype)
        return np.asarray((rows * weights).sum(1) / np.maximum(weights.sum(1), 1))


def _probe_where_it_fits(model: LayeredModel, batch: Batch, work: Recording) -> tuple[Probed, list[str]]:
    """Probe on the GPU, or on the CPU where the model does not fit and may leave; give notes on that, too."""
    try:
        return _probe(model, batch, work.layers), []
    except ProblemError:
        raise
    except Exception as error:
        if not model.is_out_of_memory(error):
            raise
        if work.device != "auto" or not model.to_cpu():
            detail = "a few rows do not fit into memory; choose fewer layers or a smaller model"
            raise ProblemError("out_of_memory", detail) from error
    return _probe_where_it_fits(model, batch, work)[0], [LEFT_GPU]


def _probe(model: LayeredModel, batch: Batch, selection: LayerSelection) -> Probed:
    """Choose the layers by running a few rows, twice: the outputs must be the same. Say what cannot be a layer."""
    automatic, others = model.names(batch)
    candidates, spelled = _candidates(automatic, others, selection)
    if taken := sorted(RESERVED_NAMES & set(candidates)):
        raise ProblemError("layer_unusable", f"{taken[0]!r} has another meaning in a file of layers; rename it")
    chosen = select_layers(candidates, LayerSelection(exclude=_present(selection.exclude, candidates)))
    n_rows = len(batch["inputs"])
    first, again = _run_in_parts(model, batch, chosen), _run_in_parts(model, batch, chosen)
    samples, left_out = {}, {}
    for name in chosen:
        rows = first.get(name)
        if rows is None or rows.ndim == 0 or len(rows) != n_rows or rows.dtype.name not in DTYPES or not rows.size:
            shown = "no tensor" if rows is None else f"{rows.dtype} of shape {list(rows.shape)}"
            if name in spelled:
                raise ProblemError("layer_unusable", f"layer {name!r} is {shown}, not numbers for {n_rows} rows")
            left_out[name] = f"{shown} for {n_rows} rows"
            continue
        if not np.allclose(rows, again[name], rtol=1e-3, atol=1e-4 * _size(rows), equal_nan=True):
            raise ProblemError(
                "nondeterministic_model",
                f"layer {name!r} differs when the same rows are run again; switch off dropout and other random numbers",
            )
        samples[name] = rows
    if not samples:
        raise ProblemError("no_layers", "the model has no layer with numbers for each row; name its tensors or modules")
    return samples, left_out


def _size(rows: Array) -> float:
    sizes = np.abs(rows.astype(np.float64))
    return float(sizes[np.isfinite(sizes)].max(initial=0.0))


def _present(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Leave out names that the model has and nobody asked for: there is nothing to exclude."""
    return [pattern for pattern in patterns if pattern in names or _GLOB & set(pattern)]


def _run_in_parts(model: LayeredModel, batch: Batch, layers: Sequence[str]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for start in range(0, len(layers), _PROBED_LAYERS):
        model.run(batch, layers[start : start + _PROBED_LAYERS], found.__setitem__)
    return found


def _candidates(
    automatic: Sequence[str], others: Sequence[str], selection: LayerSelection
) -> tuple[list[str], frozenset[str]]:
    """Return the layers that are asked for, and those spelled out.

    A pattern means layers; where it fits none of them, it means the model's own names of modules or tensors.
    """
    chosen: set[str] = set()
    everything = list(dict.fromkeys([*automatic, *others]))
    for pattern in selection.include:
        is_name = pattern in everything or not _GLOB & set(pattern)
        if is_name:
            require_layer(pattern, everything)
            chosen.add(pattern)
            continue
        for names in (automatic, others):
            fitting = _fitting(names, pattern)
            chosen.update(fitting)
            if fitting:
                break
    if not chosen:
        shown = ", ".join(map(repr, everything[:_SHOWN])) + ("" if len(everything) <= _SHOWN else ", …")
        raise ProblemError("no_layers", f"no layer fits {selection.include}; the {len(everything)} are {shown}")
    return [name for name in everything if name in chosen], frozenset(selection.include)


def _fitting(names: Sequence[str], pattern: str) -> set[str]:
    try:
        return set(select_layers(names, LayerSelection(include=[pattern])))
    except ProblemError:
        return set()
