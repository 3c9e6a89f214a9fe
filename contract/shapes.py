"""What decides the cost of an analysis: the shape of a layer and the processor; and what a cost is."""

from dataclasses import dataclass, replace
from math import comb
from typing import Self

_WIDTHS = {
    "bool": 1, "int8": 1, "uint8": 1, "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2,
    "float32": 4, "int32": 4, "uint32": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Processor:
    """What computes: so many threads, with so much working memory where that is bounded (0: it is not)."""

    threads: int = 1
    budget_bytes: int = 0


ONE_THREAD = Processor()


@dataclass(frozen=True)
class Shape:
    """One layer of one input, as far as it is used.

    Attributes
    ----------
    rows, classes, features
        N rows of K classes are used, d numbers each.
    smallest
        Rows of the smallest class: they decide how many folds there are.
    dtype
        As stored: ``float16``, ``bfloat16``, ``float32``, ``float64``, or an integer type.
    metric
        ``euclidean`` or ``cosine``.
    file_rows
        Rows that the file holds, where not all of them are used.
    mapped, compressed
        Whether the file is mapped into memory rather than read (`.safetensors`), and whether it is deflated (`.npz`).
    """

    rows: int
    classes: int
    features: int
    smallest: int
    dtype: str = "float32"
    metric: str = "euclidean"
    file_rows: int | None = None
    mapped: bool = True
    compressed: bool = False

    @property
    def pairs(self) -> int:
        """Pairs of classes."""
        return comb(self.classes, 2)

    @property
    def width(self) -> int:
        """Bytes of a number as it is stored."""
        return _WIDTHS.get(self.dtype, 8)

    @property
    def stays_mapped(self) -> bool:
        """Whether the rows are pages of the file: all of them are used, in a type that needs no change."""
        return self.mapped and self.file_rows is None and self.dtype != "bfloat16"

    def part(self, share: int) -> Self:
        """Return one of `share` equal parts of the rows, as an array in memory."""
        rows = max(2 * self.classes, self.rows // share)
        return replace(self, rows=rows, smallest=self.smallest // share, file_rows=None)


@dataclass(frozen=True)
class Cost:
    """Seconds on the reference machine, and peak bytes of memory beyond the rows that were read (`held_bytes`)."""

    seconds: float
    memory_bytes: int

    def __add__(self, other: "Cost") -> "Cost":
        """One after the other: the times add up, the memory is that of the larger one."""
        return Cost(self.seconds + other.seconds, max(self.memory_bytes, other.memory_bytes))


NOTHING = Cost(0.0, 0)
