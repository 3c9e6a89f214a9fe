"""What an audit concludes: schema interlayer-verdict 1.x. Printed text, files and exit code all follow from it."""

from typing import Literal

from pydantic import Field

from contract.schemas.report import Part, Severity
from contract.schemas.request import Split, State

Outcome = Literal["pass", "violation", "inconclusive", "ignored"]
Conclusion = Literal["pass", "violation", "inconclusive"]


class Case(Part):
    """One rule at one layer, pair or finding."""

    outcome: Outcome
    instance: str | None = None
    state: State | None = None
    split: Split | None = None
    step: int | None = None
    layer: str | None = None
    pair: list[str] | None = None
    expected: str = Field(description="What the rule demands, in words.")
    found: float | None = None
    bound: float | None = None
    tolerance: float | None = None
    excess: float | None = Field(None, description="How far beyond the bound; negative: how far on its right side.")
    p_value: float | None = Field(None, description="One-sided: that the truth is not beyond the bound.")
    p_adjusted: float | None = None
    method: str = Field(description="What makes the excess significant, or `threshold` where nothing is inferred.")
    parts: list[float] = Field(default_factory=list, description="The same number in every disjoint part of the rows.")
    message: str


class RuleVerdict(Part):
    """One rule and all its cases."""

    id: str
    check: str
    severity: Severity
    description: str
    line: int = Field(description="Of the policy file.")
    outcome: Conclusion
    cases: list[Case]


class Verdict(Part):
    """The whole answer."""

    schema_: Literal["interlayer-verdict"] = Field("interlayer-verdict", alias="schema")
    schema_version: str = "1.0"
    conclusion: Conclusion
    passed: bool = Field(description="Whether the build may go on: `conclusion` as `on_inconclusive` reads it.")
    policy: str
    policy_sha256: str
    report_sha256: str
    baseline_sha256: str | None
    alpha: float
    adjustment: str
    rules: list[RuleVerdict]
    notes: list[str] = Field(default_factory=list)

    model_config = Part.model_config | {"populate_by_name": True}

    def to_bytes(self) -> bytes:
        """Return the canonical JSON: UTF-8, indented, ends in a newline."""
        return self.model_dump_json(by_alias=True, indent=2).encode() + b"\n"
