"""The policy of an audit: what a network must show before a build may pass. Schema interlayer-policy 1.x."""

from collections import Counter
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from contract.schemas.report import Severity
from contract.schemas.request import Metric, Name, ShortText, Split, State, Strict

Statistic = Literal["mean", "median", "q10", "q25", "q75", "q90", "min", "max"]
RuleId = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Bound = Annotated[float, Field(ge=-2, le=2)]
Tolerance = Annotated[float, Field(ge=0, le=2)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Selector = Name | int
LEAST_REPEATS = 5  # (1/2)^5 is the first power below 0.05: the sign test over parts can reject at all


class IgnoredPair(Strict):
    """A class pair that a rule leaves out, why, and until when: the audit refuses an exception that nobody renewed."""

    pair: Annotated[list[Name], Field(min_length=2, max_length=2)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    expires: date


class Rule(Strict):
    """What every rule has."""

    id: RuleId
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    severity: Severity = Field("error", description="Only `error` fails the audit; the others are said.")


class LayerRule(Rule):
    """A rule that is judged at every layer it selects, for every network that the report has."""

    layers: Selector | Annotated[list[Selector], Field(min_length=1, max_length=1000)] = Field(
        "*", description="Names, globs, positions (0 is the first layer, -1 the last), `first` or `last`."
    )
    state: State = "trained"
    instance: ShortText | None = Field(None, description="Of one network; all by default.")
    step: int | Literal["last"] | None = Field(None, description="Of one training step; all by default.")
    tolerance: Tolerance = Field(0.0, description="How far beyond the bound is still let pass.")
    min_per_class: Annotated[int, Field(ge=2)] | None = None


class SeparationRule(LayerRule):
    """A layer must separate the classes at least, or at most, so well."""

    check: Literal["separation"]
    split: Split = "validation"
    statistic: Statistic = "mean"
    pairs: Annotated[list[Annotated[list[Name], Field(min_length=2, max_length=2)]], Field(min_length=1)] | None = (
        Field(None, description="Judge these class pairs one by one, instead of a statistic over all pairs.")
    )
    at_least: Bound | None = None
    at_most: Bound | None = None
    claim: Literal["expected", "observed"] = Field(
        "expected",
        description="`expected`: of new data like these, so a violation must be significant. `observed`: of these very "
        "rows; the bound alone decides.",
    )
    ignore_pairs: Annotated[list[IgnoredPair], Field(max_length=1000)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either `at_least` or `at_most`")
        if self.pairs is not None and "statistic" in self.model_fields_set:
            raise ValueError("`pairs` are judged one by one: leave `statistic` out")
        if self.ignore_pairs and self.claim == "expected" and self.statistic == "mean" and self.pairs is None:
            raise ValueError("the mean is tested over all class pairs: with `ignore_pairs` say `claim: observed`")
        return self


class GapRule(LayerRule):
    """Training data may be separated better than validation data by so much: more of it is memorization."""

    check: Literal["gap"]
    at_most: Bound


class ChangeRule(LayerRule):
    """The mean of a layer may have changed from the baseline by so much."""

    check: Literal["change"]
    split: Split = "validation"
    max_drop: Annotated[float, Field(ge=0, le=2)] | None = None
    max_rise: Annotated[float, Field(ge=0, le=2)] | None = None
    relative: bool = Field(False, description="The bound is a fraction of the baseline's mean.")

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.max_drop is None) == (self.max_rise is None):
            raise ValueError("give either `max_drop` or `max_rise`; a rule has one direction")
        return self


class FindingRule(Rule):
    """A finding that the report must not, or must, have."""

    check: Literal["finding"]
    absent: Annotated[list[ShortText], Field(max_length=100)] = Field(default_factory=list)
    present: Annotated[list[ShortText], Field(max_length=100)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.absent and not self.present:
            raise ValueError("name findings in `absent` or `present`, such as `absent: [memorization]`")
        return self


AnyRule = Annotated[SeparationRule | GapRule | ChangeRule | FindingRule, Field(discriminator="check")]


class AnalysisOptions(Strict):
    """How the audit analyses files of activations; a report that exists already is taken as it is."""

    metric: Metric = "euclidean"
    per_class: Literal["equal", "all"] | Annotated[int, Field(ge=2, le=1_000_000)] = "equal"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Policy(Strict):
    """A policy file."""

    version: Literal[1]
    alpha: Fraction = Field(0.05, description="Level of every rule, after the adjustment over its cases.")
    adjustment: Literal["holm", "benjamini_hochberg"] = "holm"
    min_per_class: Annotated[int, Field(ge=2)] = Field(32, description="With fewer rows of a class: inconclusive.")
    repeat: Annotated[int, Field(ge=1, le=50)] = Field(
        1, description="Analyse the rows also in so many disjoint parts; a violation must show in every one."
    )
    on_inconclusive: Literal["fail", "warn", "pass"] = "fail"
    on_missing_layer: Literal["inconclusive", "ignore"] = "inconclusive"
    baseline: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = Field(
        None, description="A report.json beside the policy, or a name on the server; --baseline overrides it."
    )
    analysis: AnalysisOptions = AnalysisOptions()
    rules: Annotated[list[AnyRule], Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        repeated = [name for name, count in Counter(rule.id for rule in self.rules).items() if count > 1]
        if repeated:
            raise ValueError(f"two rules are called {repeated[0]!r}: ids name results over time, give each its own")
        for rule in self.rules:
            if (
                isinstance(rule, SeparationRule)
                and rule.claim == "expected"
                and (rule.statistic != "mean" or rule.pairs is not None)
                and self.repeat < LEAST_REPEATS
            ):
                raise ValueError(
                    f"rule {rule.id!r}: only the mean has a test of its own. Say `claim: observed` to judge these very "
                    f"rows, or `repeat: {LEAST_REPEATS}` (or more) to judge by disjoint parts of them"
                )
        return self
