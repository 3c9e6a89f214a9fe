"""The report: one canonical JSON from which every table, picture and verdict is rendered.

Minor versions only add. There is never a NaN or an infinity: a number that does not exist is `null`, and a `reason`
beside it says why. No clock, host or device is in here: the same request gives the same bytes.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from contract.schemas.request import Metric, Pooling, Split, State

SCHEMA_NAME: Literal["interlayer-report"] = "interlayer-report"
SCHEMA_VERSION = "1.0"

Severity = Literal["info", "warning", "error"]
Estimand = Literal["these_classes", "population_of_classes", "exchangeable_pairs", "exchangeable_membership"]


class Part(BaseModel):
    """A part of the report; readers of 1.x ignore fields that a later minor version added."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class ModelSource(Part):
    """A model that was run, and the data it was run on; the numbers are those of its layers."""

    model: str = Field(description="Name of a registered model, or id of an ONNX file.")
    model_sha256: str | None = Field(description="Of the ONNX file or the weights; an untrained network has none.")
    data: str = Field(description="Name of a registered data set, or id of a file.")
    data_sha256: str = Field(description="Of the labels and inputs that were used, in the order of the rows.")
    pooling: Pooling = Field(description="What became of the token axis.")


class Input(Part):
    """One analysed file: which bytes, and its role in the study."""

    sha256: str
    instance: str
    state: State
    split: Split
    step: int | None
    source: ModelSource | None = None


class Provenance(Part):
    """What decided the numbers."""

    inputs: list[Input]
    versions: dict[str, str]
    estimator: str = Field(description="Formula of the statistic.")
    metric: Metric
    ties: str
    seed: int
    sampling: dict[str, JsonValue] = Field(description="The rule asked for and the rows per class it led to.")
    tests: dict[str, JsonValue]


class Interval(Part):
    """A confidence interval, or `null` ends with the reason."""

    low: float | None
    high: float | None
    level: float
    method: str
    estimand: Estimand
    reason: str | None = None


class Pairs(Part):
    """Column arrays over the class pairs, in the order (0,1), (0,2), …, (1,2), …"""

    class_a: list[str]
    class_b: list[str]
    n_a: list[int]
    n_b: list[int]
    cross_edges: list[float] = Field(description="Edges of the spanning tree that join the two classes.")
    cross_edges_min: list[int] = Field(description="Smallest count over all minimum spanning trees.")
    cross_edges_max: list[int] = Field(description="Largest count over all minimum spanning trees.")
    statistic: list[float] = Field(description="1 - R(m+n)/(2mn), never clipped.")
    z: list[float | None] = Field(description="Friedman-Rafsky z given the tree; negative means separated.")
    p_value: list[float | None] = Field(description="Lower tail: few cross edges, separated classes.")

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len({len(getattr(self, name)) for name in type(self).model_fields}) > 1:
            raise ValueError("the columns of `pairs` differ in length")
        return self


class OverallTest(Part):
    """Are the classes separated at all? One tree over all points, its edges between any two classes."""

    statistic: float = Field(description="1 - T / E T: 0 without separation.")
    p_value: float | None


class SampleSizeTrend(Part):
    """The mean at a quarter, a half and all of the rows, and where it seems to go."""

    n_per_class: list[int]
    means: list[float]
    limit: float | None = Field(description="Aitken's extrapolation: a reading, not an estimate with an error.")
    reason: str | None


class Draws(Part):
    """The mean over several random draws of the rows, the reported draw among them."""

    count: int
    mean: float
    sd: float
    min: float
    max: float


class Separation(Part):
    """The distribution of class separation at one layer of one network state on one split."""

    instance: str
    state: State
    split: Split
    step: int | None
    layer: str
    dimension: int = Field(description="Features of a flattened row.")
    n_classes: int
    n_per_class: Annotated[list[int], Field(description="Rows used of each class, in the order of `classes`.")]
    mean: float
    interval: Interval
    sd: float | None
    min: float
    max: float
    quantiles: dict[str, float]
    n_duplicates: int
    n_zero_rows: int
    any_separation: OverallTest | None = None
    trend: SampleSizeTrend | None = None
    draws: Draws | None = None
    fold_means: list[list[float]] | None = Field(
        description="Mean statistic of every fold of every random partition; any contrast of layers is tested with it."
    )
    pairs: Pairs


class TestResult(Part):
    """One p-value of one test, or `null` with the reason."""

    __test__ = False

    method: str
    estimand: Estimand
    p_value: float | None
    p_adjusted: float | None
    adjustment: str | None = None
    exact: bool
    n_resamples: int | None
    interval: Interval | None = None
    reason: str | None = None


class TestRow(Part):
    """One contrast of layers, states or splits, with every test made of it."""

    __test__ = False

    family: str
    instance: str
    state: State | None
    split: Split | None
    step: int | None
    component: str | None
    input_layer: str | None
    output_layer: str
    difference: float
    alternative: Literal["two-sided", "greater", "less"]
    results: list[TestResult]


class Diagnostic(Part):
    """A question about the data rather than about a layer, answered where it was asked for.

    `shift`: do training and validation data differ at all, class by class? Stouffer's z of Friedman-Rafsky tests.
    """

    code: Literal["shift"]
    instance: str
    state: State
    step: int | None
    layer: str
    statistic: float
    p_value: float | None


class SharedRows(Part):
    """How many rows of the validation data are rows of the training data, bit for bit at one layer."""

    instance: str
    state: State
    step: int | None
    layer: str
    n_train: int
    n_validation: int
    n_shared: int = Field(description="Validation rows that are also among the training rows.")
    n_repeated: int = Field(description="Validation rows that repeat another validation row: how common chance is.")


class Finding(Part):
    """What was found, in a sentence, with the numbers behind it."""

    code: str
    severity: Severity
    message: str
    evidence: dict[str, JsonValue]


class ReportWarning(Part):
    """Something a reader must know before trusting a number."""

    code: str
    message: str


class Report(Part):
    """The whole answer."""

    schema_: Literal["interlayer-report"] = Field(SCHEMA_NAME, alias="schema")
    schema_version: str = SCHEMA_VERSION
    provenance: Provenance
    classes: list[str]
    layers: list[str]
    separations: list[Separation]
    tests: list[TestRow]
    diagnostics: list[Diagnostic] = []
    shared_rows: list[SharedRows] = []
    findings: list[Finding]
    warnings: list[ReportWarning]

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        used = {found.layer for found in self.separations}
        used |= {name for row in self.tests for name in (row.input_layer, row.output_layer) if name is not None}
        if unknown := used - set(self.layers):
            raise ValueError(f"`layers` lacks {sorted(unknown)[:3]}")
        named = {name for found in self.separations for name in (*found.pairs.class_a, *found.pairs.class_b)}
        if unknown := named - set(self.classes):
            raise ValueError(f"`classes` lacks {sorted(unknown)[:3]}")
        return self

    def to_bytes(self) -> bytes:
        """Return the canonical JSON: UTF-8, compact, ends in a newline."""
        return self.model_dump_json(by_alias=True).encode() + b"\n"
