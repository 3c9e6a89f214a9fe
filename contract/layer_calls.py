"""Which calls of a network's modules are layers, the same wherever a network of PyTorch is recorded.

What is known of modules and tensors is what they do; nothing here imports PyTorch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol, TypeVar

from contract.layer_names import LayerNames

_COMPILED = "_orig_mod"  # what torch.compile puts before the names of the modules it has compiled
_RESHAPING = frozenset({"Flatten", "Unflatten"})


class Tensor(Protocol):
    """Values in memory, and a count of the writes into them."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        ...

    @property
    def _version(self) -> int: ...

    def data_ptr(self) -> int:
        """Where the values lie."""
        ...

    def numel(self) -> int:
        """How many there are."""
        ...

    def is_inference(self) -> bool:
        """Whether writes are not counted."""
        ...

    def __len__(self) -> int: ...


class Module(Protocol):
    """A part of a network."""

    def parameters(self) -> Iterator[Any]:
        """Weights and biases, of inner modules too."""
        ...

    def named_modules(self) -> Iterator[tuple[str, Any]]:
        """Give this module and all inner ones."""
        ...


AnyModule = TypeVar("AnyModule", bound=Module)


class LayerCalls:
    """The calls of modules, one forward pass after another. An innermost call that changes its data is a layer."""

    def __init__(self) -> None:
        self._kinds: dict[Module, _Kind] = {}
        self.start()

    def start(self) -> None:
        """Forget the calls of the pass before; names are counted anew."""
        self._names = LayerNames()
        self._running: list[_Call] = []

    @property
    def is_outside(self) -> bool:
        """Whether no module is running."""
        return not self._running

    def enter(self, value: Tensor | None) -> None:
        """Note that a module starts on a tensor, or on something else."""
        self._running.append(_Call.on(value))

    def leave(self, module: Module, output: Any) -> str | None:
        """Note that it ends; give the name of the layer that this was, None where it was none."""
        call = self._running.pop()
        if self._running:
            self._running[-1].is_innermost = False
        if not call.is_innermost:
            return None
        kind = self._kinds.get(module)
        if kind is None:
            kind = self._kinds[module] = _Kind.of(module)
        if kind.only_reshapes or call.passes_through(module, output):
            return None
        return self._names.by_type(kind.type_name, has_weights=kind.has_weights)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What stays the same of a module from call to call."""

    type_name: str
    has_weights: bool
    only_reshapes: bool

    @classmethod
    def of(cls, module: Module) -> "_Kind":
        kind = type(module)
        if hasattr(module, "parametrizations"):  # the class that a parametrization makes stands for the one it is of
            kind = kind.__bases__[0]
        return cls(
            kind.__name__,
            has_weights=any(parameter.ndim >= 2 for parameter in module.parameters()),
            only_reshapes=not _RESHAPING.isdisjoint(base.__name__ for base in type(module).__mro__),
        )


@dataclass(slots=True)
class _Call:
    """A module that is running: where the tensor lies that it was given, and which state of it that was."""

    memory: tuple[int, int] | None
    version: int | None
    is_innermost: bool = True

    @classmethod
    def on(cls, value: Tensor | None) -> "_Call":
        if value is None:
            return cls(None, None)
        try:
            memory = value.data_ptr(), value.numel()
        except RuntimeError:  # sparse tensors and the like lie in no one place
            return cls(None, None)
        return cls(memory, None if value.is_inference() else value._version)

    def passes_through(self, module: Module, output: Any) -> bool:
        """Say whether the output is the input, at most in another shape (identity, dropout when off)."""
        if self.memory is None or not is_tensor(output):
            return False
        try:
            if self.memory != (output.data_ptr(), output.numel()):
                return False
        except RuntimeError:
            return False
        if self.version is None:
            return not getattr(module, "inplace", False)
        return bool(output._version == self.version)


def is_tensor(value: Any) -> bool:
    """Tell tensors of PyTorch from everything else."""
    return hasattr(value, "data_ptr") and hasattr(value, "ndim")


def first_tensor(values: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Give the first tensor that a module is called with, or None."""
    for value in (*values, *named.values()):
        if is_tensor(value):
            return value
    return None


def tensors_in(output: Any) -> dict[str, Any]:
    """Give the tensors that a module returns by the suffix of their layer: none for a single one, else `.0`, `.key`.

    What is no tensor (None, numbers, caches) is passed over: attention gives (values, None) without its weights.
    """
    if is_tensor(output):
        return {"": output}
    found = dict(_walk("", output))
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def _walk(suffix: str, output: Any) -> Iterator[tuple[str, Any]]:
    items: list[tuple[Any, Any]] = []
    if is_tensor(output):
        yield suffix, output
    elif isinstance(output, Mapping):
        items = list(output.items())
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        items = list(zip(output._fields, output, strict=True))
    elif isinstance(output, list | tuple):
        items = list(enumerate(output))
    elif is_dataclass(output) and not isinstance(output, type):
        items = [(field.name, getattr(output, field.name, None)) for field in fields(output)]
    for key, value in items:
        yield from _walk(f"{suffix}.{key}", value)


def module_names(model: AnyModule) -> dict[AnyModule, str]:
    """Give the name of every module whose output is data, the same whether parts of the model are compiled or not."""
    return {
        module: ".".join(part for part in name.split(".") if part != _COMPILED)
        for name, module in model.named_modules()
        if "parametrizations" not in name.split(".")  # these compute weights
    }
