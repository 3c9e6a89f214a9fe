"""Forward hooks that stream the output of layers to disk."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from contract.layer_calls import LayerCalls, first_tensor, module_names, tensors_in
from contract.layer_names import INPUT_LAYER
from interlayer.local import LocalInput
from interlayer.record.activation_file import ActivationWriter, checked_path
from interlayer.record.errors import RecordingError
from interlayer.record.forward_pass import ForwardPass
from interlayer.record.kept_rows import Storage
from interlayer.record.layer_names import ChosenLayers
from interlayer.record.model_modes import eagerly, unwrapped
from interlayer.record.row_sample import RowSample
from interlayer.record.token_pooling import Pooling, checked_pooling

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn


_SHOWN = 5
_HEADER_BYTES = 256  # of a layer: its name, twice, its shape and place


@dataclass(frozen=True)
class RecordedLayers:
    """What a recording holds.

    Attributes
    ----------
    path : Path
        The safetensors file.
    shapes : dict of str to tuple of int
        Shape of one row of each layer, in execution order.
    counts : dict of int or str to int
        Rows of each class, in ascending order of the class.
    left_out : dict of str to str
        Parts of the outputs of recorded modules that are not in the file, and why.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    counts: dict[int | str, int]
    left_out: dict[str, str]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in execution order."""
        return tuple(self.shapes)

    def as_input(
        self, *, state: str = "trained", split: str = "train", instance: str = "0", step: int | None = None
    ) -> LocalInput:
        """Say what the file is: an input of `interlayer.local.analyze` and `submit_recordings`."""
        return LocalInput(self.path, state, split, instance, step)


class LayerRecorder:
    """Record layers from a loop of your own; `record` is this with the loop written out.

    Parameters are those of `record`, and `n_rows`: how many rows will be kept, where that is known. They are then
    written to where they stay, instead of being moved there at the end; a wrong number costs time only.

    The hooks are in place inside the ``with`` block and listen only while a batch is announced; other forward passes
    go unnoticed. The file is written when the block ends without an exception, and `recorded` then says what it holds.
    The model runs in the mode it is in::

        with LayerRecorder(model, "epoch-3.safetensors", dtype="float16") as recorder:
            for images, labels in loader:
                with recorder.batch(labels):
                    model(images)

    Where a framework splits the loop over two callbacks, enter ``recorder.batch(labels)`` in the one before the
    forward pass and leave it in the one after, with a `contextlib.ExitStack`.
    """

    def __init__(
        self,
        model: "nn.Module",
        path: str | Path,
        *,
        layers: Literal["auto"] | Sequence[str] = "auto",
        per_class: int | None = None,
        dtype: Literal["float16", "float32"] | None = None,
        pooling: Pooling = "none",
        seed: int = 0,
        n_rows: int | None = None,
    ) -> None:
        if dtype not in (None, "float16", "float32"):
            raise RecordingError(f"`dtype` is {dtype!r}; it may be 'float16', 'float32' or None")
        if per_class is not None and per_class < 1:
            raise RecordingError(f"`per_class` is {per_class}; it must be at least 1")
        self._torch = import_torch()
        self._model = unwrapped(model)
        self._path = checked_path(Path(path))
        self._storage = Storage(dtype, checked_pooling(pooling))
        self._chosen = None if layers == "auto" else ChosenLayers(self._model, layers)
        self._names = module_names(self._model)
        self._sample = RowSample(per_class, seed)
        self._calls = LayerCalls()
        self._pass: ForwardPass | None = None
        self._n_rows = n_rows
        self._n_passes = 0
        self._interrupted = False
        self._left_out: dict[str, str] = {}
        self._recorded: RecordedLayers | None = None

    @property
    def recorded(self) -> RecordedLayers:
        """What the finished file holds."""
        if self._recorded is None:
            raise RecordingError("the recording is not finished: the file is written when the `with` block ends")
        return self._recorded

    def __enter__(self) -> Self:
        header_bytes = _HEADER_BYTES * (2 + len(self._names))
        self._writer = ActivationWriter(self._path, self._n_rows, header_bytes)
        self._hooks = ExitStack()
        for module in self._names:
            self._hooks.callback(module.register_forward_pre_hook(self._before, with_kwargs=True).remove)
            self._hooks.callback(module.register_forward_hook(self._after).remove)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._hooks.close()
        try:
            if kind is None:
                self._recorded = self._finish()
        finally:
            self._writer.discard()

    @contextmanager
    def batch(self, labels: Any) -> Iterator[int]:
        """Record the one forward pass made inside, and say how many rows of it are kept.

        Parameters
        ----------
        labels : (batch,) array, tensor or sequence of ints or strings
            The class of each row. Where no row is kept (0), the forward pass may be left out.
        """
        rows, places = self._sample.place(labels)
        if len(places):
            self._writer.expect(int(places[-1]) + 1)
        self._calls.start()
        self._pass = ForwardPass(len(labels), rows, places)
        try:
            with eagerly():
                yield len(places)
            if len(places):
                self._check_complete(self._pass)
                self._n_passes += 1
        except BaseException:
            # The places of these rows are promised and will never be filled.
            self._interrupted = True
            raise
        finally:
            self._pass = None

    def _before(self, module: "nn.Module", args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._pass is None:
            return
        value = first_tensor(args, kwargs)
        if module is self._model and self._calls.is_outside:
            if self._pass.written:
                raise RecordingError("the model ran twice in a batch: announce each forward pass with `batch(labels)`")
            mask = kwargs.get("attention_mask")
            self._pass.mask = mask if mask is not None and self._torch.is_tensor(mask) and mask.ndim == 2 else None
            if value is not None and self._is_input_wanted(value):
                self._require_values(INPUT_LAYER, value)
                self._write(INPUT_LAYER, value, self._pass)
        if self._pass.is_over:
            return
        self._calls.enter(value)

    def _after(self, module: "nn.Module", args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG002 - torch calls it so
        if self._pass is None or self._pass.is_over:
            return
        layer = self._calls.leave(module, output)
        self._pass.is_over = module is self._model and self._calls.is_outside
        if self._chosen is None:
            if layer is not None:
                self._write_all(layer, output, self._pass)
            return
        if (name := self._names[module]) in self._chosen.modules:
            self._write_all(self._pass.names.numbered(name), output, self._pass)
        if layer is not None and self._chosen.is_asked(layer):
            self._write_all(layer, output, self._pass)

    def _is_input_wanted(self, value: "torch.Tensor") -> bool:
        if self._chosen is None:
            # Indices of tokens are codes, not coordinates; bytes are pixels.
            return value.is_floating_point() or value.dtype == self._torch.uint8
        return INPUT_LAYER in self._chosen.modules

    def _write_all(self, layer: str, output: Any, forward: ForwardPass) -> None:
        """Copy the kept rows of every tensor of `output` to disk now: a module in place may overwrite it next."""
        forward.written.add(layer)
        found = tensors_in(output)
        if not found:
            raise RecordingError(
                f"layer {layer!r} returned a {type(output).__name__} without a tensor: choose other layers by name "
                "(`layers=[...]`)"
            )
        for suffix, tensor in found.items():
            self._require_values(layer + suffix, tensor)
        fitting = {suffix for suffix, tensor in found.items() if tensor.shape[:1] == (forward.n_rows,)}
        for suffix, tensor in found.items():
            name = layer + suffix
            if (fitting or self._chosen is None) and (suffix not in fitting or name in self._left_out):
                # The state of a recurrent layer, a loss, the places of tokens: what else there is are the layers.
                self._left_out[name] = f"shape {tuple(tensor.shape)}: the first axis is not the batch"
            else:
                self._write(name, tensor, forward)

    def _require_values(self, layer: str, tensor: "torch.Tensor") -> None:
        if tensor.layout != self._torch.strided or tensor.is_nested or tensor.is_meta:
            kind = "nested" if tensor.is_nested else "meta" if tensor.is_meta else "sparse"
            raise RecordingError(
                f"layer {layer!r} is a {kind} tensor, whose values do not lie in memory row by row: make it dense in "
                "the model, or choose other layers by name (`layers=[...]`)"
            )

    def _write(self, layer: str, output: "torch.Tensor", forward: ForwardPass) -> None:
        forward.written.add(layer)
        if not output.ndim or output.shape[0] != forward.n_rows:
            raise RecordingError(
                f"layer {layer!r} has shape {tuple(output.shape)}, but the batch has {forward.n_rows} labels: "
                "the first axis must be the batch; choose other layers by name (`layers=[...]`)"
            )
        if not len(forward.places):
            return
        done = 0
        for rows in self._storage.blocks(layer, output, forward):
            if done == 0:
                self._check_shape(layer, rows)
            self._writer.write(layer, rows, forward.places[done : done + len(rows)])
            done += len(rows)

    def _check_shape(self, layer: str, rows: "NDArray[Any]") -> None:
        row_shape = self._writer.row_shape(layer)
        if row_shape is None:
            if self._n_passes:
                raise RecordingError(f"layer {layer!r} was called in this batch, but not in earlier ones")
            if rows.size == 0 or layer == "labels":
                raise RecordingError(f"layer {layer!r} cannot be recorded: it is empty, or its name is taken")
            self._writer.add_layer(layer, rows.shape[1:], rows.dtype)
        elif row_shape != rows.shape[1:]:
            raise RecordingError(
                f"layer {layer!r} gave rows of shape {rows.shape[1:]} after rows of shape {row_shape}: "
                "all rows need one shape, so pad or crop the inputs, or pool the tokens (`pooling=`)"
            )

    def _check_complete(self, forward: "ForwardPass") -> None:
        if self._chosen is not None and not self._n_passes:
            self._chosen.require_all()
        if not forward.written:
            raise RecordingError("no layer was called: run the model inside `with recorder.batch(labels)`")
        if self._left_out and not set(self._writer.row_shapes()) - {INPUT_LAYER}:
            reasons = "; ".join(f"{name!r} has {why}" for name, why in list(self._left_out.items())[:_SHOWN])
            raise RecordingError(f"no layer has a row for each of the {forward.n_rows} labels: {reasons}")
        for layer in self._writer.row_shapes():
            if layer not in forward.written:
                raise RecordingError(f"layer {layer!r} was not called in this batch, but in earlier ones")
        for layer in sorted(self._chosen.modules if self._chosen is not None else ()):
            if layer not in forward.written:
                raise RecordingError(f"layer {layer!r} was not called by the model")

    def _finish(self) -> RecordedLayers:
        if self._interrupted:
            raise RecordingError("a batch was interrupted, so its rows are missing: record again")
        shapes = self._writer.row_shapes()
        if not shapes:
            raise RecordingError("nothing was recorded: there was no batch with rows")
        self._writer.finish(*self._labels())
        return RecordedLayers(self._path, shapes, self._sample.counts(), self._left_out)

    def _labels(self) -> "tuple[NDArray[Any], dict[str, str]]":
        """Give the labels of the rows so far, and the metadata of the file."""
        labels, class_names = self._sample.codes()
        metadata = {"layers": json.dumps(list(self._writer.row_shapes()))}
        if self._storage.pooling != "none":
            metadata["pooling"] = self._storage.pooling
        if class_names:
            metadata["classes"] = json.dumps(class_names)
        return labels, metadata


def import_torch() -> ModuleType:
    """Import torch, or say how to get it."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('recording needs PyTorch: pip install "interlayer[models]"', name="torch") from error
    return torch
