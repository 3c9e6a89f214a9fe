"""Names of layers, the same wherever a network is recorded: made in the order of execution, as the paper makes them."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

INPUT_LAYER = "0.Input"
# What the paper, or PyTorch, calls a type of PyTorch or an operator of ONNX; others keep their names.
_TYPES = {
    "Linear": "Dense", "Relu": "ReLU", "LeakyRelu": "LeakyReLU", "PRelu": "PReLU", "Elu": "ELU", "Selu": "SELU",
    "Gelu": "GELU", "HardSigmoid": "Hardsigmoid", "HardSwish": "Hardswish", "BatchNormalization": "BatchNorm",
    "LayerNormalization": "LayerNorm", "GroupNormalization": "GroupNorm", "InstanceNormalization": "InstanceNorm",
    "RMSNormalization": "RMSNorm", "AveragePool": "AvgPool", "GlobalAveragePool": "AdaptiveAvgPool",
    "GlobalMaxPool": "AdaptiveMaxPool",
}  # fmt: skip
_TYPES_WITH_WEIGHTS = {"Gemm": "Dense", "MatMul": "Dense", "Gather": "Embedding"}


class UnknownLayer(ValueError):
    """No layer fits a name; the message gives the nearest."""


class LayerNames:
    """Names of the layers of one forward pass.

    The order of calls alone decides them, so every pass over the same network gives the same names.
    """

    def __init__(self) -> None:
        self._n_weighted = 0
        self._used: Counter[str] = Counter()

    def by_type(self, type_name: str, *, has_weights: bool) -> str:
        """Name a layer: number of layers with weights so far, and type (`1.Conv`, `1.ReLU`, `2.Dense`).

        Vectors (biases, the scales of normalization) are no weights here: `1.BatchNorm` belongs to `1.Conv`.
        """
        self._n_weighted += has_weights
        return self.numbered(f"{self._n_weighted}.{_kind(type_name, has_weights)}")

    def numbered(self, name: str) -> str:
        """Give the name itself at its first use, and `name:2`, `name:3`, … later."""
        self._used[name] += 1
        return name if self._used[name] == 1 else f"{name}:{self._used[name]}"


def _kind(type_name: str, has_weights: bool) -> str:
    kind = type_name[:-2] if type_name.endswith(("1d", "2d", "3d")) else type_name
    return _TYPES.get(kind, _TYPES_WITH_WEIGHTS.get(kind, kind) if has_weights else kind)


def chosen_names(patterns: Sequence[str], names: Iterable[str]) -> frozenset[str]:
    """Give the names that globs mean: `*` stays within one part of a dotted name, `**` does not.

    Raises
    ------
    UnknownLayer
        If a pattern matches nothing.
    """
    known = list(names)
    chosen: set[str] = set()
    for pattern in patterns:
        expression = re.compile(_expression(pattern))
        matches = [name for name in known if expression.fullmatch(name)]
        if not matches:
            near = ", ".join(map(repr, nearest_names(pattern, known)))
            raise UnknownLayer(f"the model has no layer {pattern!r}; near it are {near}")
        chosen.update(matches)
    return frozenset(chosen)


def nearest_names(name: str, names: Sequence[str]) -> list[str]:
    """Give up to three names that somebody who wrote `name` may have meant."""
    return difflib.get_close_matches(name, names, n=3, cutoff=0.3) or list(names[:3])


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"*": r"[^.]*", "**": r".*"}.get(part, re.escape(part)) for part in parts)
