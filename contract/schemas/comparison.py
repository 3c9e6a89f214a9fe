"""How one report has changed from another: schema interlayer-comparison 1.x."""

from typing import Literal

from pydantic import Field

from contract.schemas.report import Interval, Part
from contract.schemas.request import Split, State


class ReportDifference(Part):
    """Something that two reports must have in common to be compared whole, and have not."""

    field: str
    base: str
    candidate: str
    decisive: bool = Field(description="Whether no number of the one can be compared with one of the other.")


class PairChange(Part):
    """A class pair in both reports."""

    class_a: str
    class_b: str
    base: float
    candidate: float
    difference: float


class LayerChange(Part):
    """One layer of one network on one split in both reports; differences are candidate minus base."""

    instance: str
    state: State
    split: Split
    step: int | None
    layer: str
    base: float
    candidate: float
    difference: float
    interval: Interval
    standard_error: float | None
    degrees_of_freedom: float | None
    p_value: float | None = Field(description="Two-sided.")
    p_adjusted: float | None = Field(description="Over the layers of one network on one split, by Holm.")
    reason: str | None = Field(None, description="Why there is no p-value.")
    worst_pairs: list[PairChange] = Field(description="The pairs that lost most, at most five.")


class Comparison(Part):
    """The whole answer. Where `comparable` is false, `differences` says why, and an absent change is no good news."""

    schema_: Literal["interlayer-comparison"] = Field("interlayer-comparison", alias="schema")
    schema_version: str = "1.0"
    comparable: bool
    differences: list[ReportDifference]
    method: str = Field(description="Of the interval and the p-value.")
    adjustment: Literal["holm"] = "holm"
    level: float
    changes: list[LayerChange]

    model_config = Part.model_config | {"populate_by_name": True}

    def to_bytes(self) -> bytes:
        """Return the canonical JSON: UTF-8, compact, ends in a newline."""
        return self.model_dump_json(by_alias=True).encode() + b"\n"
