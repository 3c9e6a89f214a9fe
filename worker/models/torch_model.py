"""The modules of a PyTorch model as layers, seen by forward hooks."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from contract.layer_calls import LayerCalls, first_tensor, module_names, tensors_in
from contract.layer_names import INPUT_LAYER, LayerNames
from contract.schemas import Pooling, ProblemError
from worker.arrays import Array
from worker.models.transformer import named_inputs

if TYPE_CHECKING:
    import torch
    from torch import nn

# Of the host's allocator, of CUDA where no allocator of PyTorch is asked, and of its libraries.
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "ALLOC_FAILED")
Put = Callable[[str, Array], None]


class TorchModel:
    """Runs a model and hands over the output of each layer as soon as it is there.

    Layers are named as the paper does, by the number of modules with weights so far and the type; a module is also
    known by its name in the model; each tensor of a tuple or mapping is a layer. With `hidden_states`, the layers are
    those of a transformer instead.
    """

    def __init__(self, module: "nn.Module", *, device: str, pooling: Pooling, hidden_states: bool) -> None:
        import torch

        self._torch, self._module, self._pooling, self._hidden = torch, module.eval(), pooling, hidden_states
        self.device = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        self._mask: torch.Tensor | None = None

    def names(self, batch: Mapping[str, Array]) -> tuple[list[str], list[str]]:
        """Return the names of layers and those of modules that run, each in execution order."""
        automatic: list[str] = []
        named: list[str] = []
        self._forward(batch, lambda name, _value, is_module: (named if is_module else automatic).append(name))
        return automatic, named

    def run(self, batch: Mapping[str, Array], layers: Sequence[str], put: Put) -> None:
        """Compute layers of a batch and hand over each."""
        chosen = set(layers)

        def see(name: str, value: "torch.Tensor", _is_module: bool) -> None:
            if name in chosen:
                chosen.remove(name)  # where a module has the name of a layer, the layer is meant
                put(name, self._stored(value))

        self._forward(batch, see)

    def _forward(self, batch: Mapping[str, Array], see: "Callable[[str, torch.Tensor, bool], None]") -> None:
        torch, calls, numbers = self._torch, LayerCalls(), LayerNames()
        own_names = module_names(self._module)

        def before(_module: "nn.Module", args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.enter(first_tensor(args, kwargs))

        def after(module: "nn.Module", _args: tuple[Any, ...], output: Any) -> None:
            layer = calls.leave(module, output)
            tensors = tensors_in(output)
            if layer is not None and not self._hidden:
                for suffix, value in tensors.items():
                    see(layer + suffix, value, False)
            if own_names[module]:
                name = numbers.numbered(own_names[module])
                for suffix, value in tensors.items():
                    see(name + suffix, value, True)

        self._module.to(self.device)  # here, so that weights that do not fit are like a batch that does not
        inputs = {name: self._fitted(torch.from_numpy(array)).to(self.device) for name, array in batch.items()}
        self._mask = inputs.get("attention_mask")
        first = inputs["inputs"]
        with ExitStack() as hooks, torch.no_grad():
            for module in own_names:
                hooks.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(after).remove)
            if self._hidden:
                self._run_transformer(inputs, see)
            else:
                if first.is_floating_point() or first.dtype == torch.uint8:
                    see(INPUT_LAYER, first, False)
                rest = {name: value for name, value in inputs.items() if name != "inputs"}
                self._module(first, **rest)

    def _fitted(self, values: "torch.Tensor") -> "torch.Tensor":
        """Give floating-point values the type that the weights have, as ONNX models do with theirs."""
        weights = next((each for each in self._module.parameters() if each.is_floating_point()), None)
        return values.to(weights.dtype) if weights is not None and values.is_floating_point() else values

    def _run_transformer(
        self, inputs: "dict[str, torch.Tensor]", see: "Callable[[str, torch.Tensor, bool], None]"
    ) -> None:
        found = self._module(**named_inputs(self._module, inputs), output_hidden_states=True)
        states = getattr(found, "hidden_states", None)
        if states is None:
            raise ProblemError("layer_unusable", "the transformer gives no hidden states; name its modules instead")
        for number, state in enumerate(states):
            see(f"{number}.Block" if number else "0.Embedding", state, False)

    def _stored(self, value: "torch.Tensor") -> Array:
        torch = self._torch
        if value.ndim == 3 and self._pooling != "none" and value.is_floating_point():
            value = self._pooled(value)
        if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
            value = value.to(torch.float32)  # holds bfloat16 and the 8-bit types exactly
        found: Array = value.detach().cpu().contiguous().numpy()
        return found.copy()  # a later operation may work in place

    def _pooled(self, value: "torch.Tensor") -> "torch.Tensor":
        if self._pooling == "cls":
            return value[:, 0]
        mask = self._mask
        wide = value if value.dtype == self._torch.float64 else value.float()  # sums need more digits than bfloat16 has
        if mask is None or mask.shape != value.shape[:2]:
            return wide.mean(1)
        weights = mask.to(wide.dtype)[:, :, None]
        return (wide * weights).sum(1) / weights.sum(1).clamp(min=1)

    def is_out_of_memory(self, error: Exception) -> bool:
        """Tell whether an error of `run` means that a smaller batch may do."""
        if isinstance(error, MemoryError | self._torch.OutOfMemoryError):
            return True
        return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)

    def to_cpu(self) -> bool:
        """Go on without the GPU; False where there was none."""
        moved = self.device != "cpu"
        self.device = "cpu"
        self._module.to("cpu")
        if moved:
            self._torch.cuda.empty_cache()
        return moved
