"""The analysis a client asks for."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Metric = Literal["euclidean", "cosine"]
State = Literal["trained", "untrained"]
Split = Literal["train", "validation"]
Pooling = Literal["none", "mean", "cls"]

Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
# Names that people give end up in SQL, logs and terminals: no control characters.
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_PRINTABLE)]
TagText = Annotated[str, StringConstraints(max_length=256, pattern=_PRINTABLE)]
ArtifactId = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class Strict(BaseModel):
    """Unknown fields are an error: a misspelt option must never be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelReference(Strict):
    """A registered model by name, or an ONNX file by artifact id.

    `pooling` says what becomes of the second axis of outputs with three, the tokens of a transformer: their `mean`
    (over those of the attention mask, where the data have one), the first (`cls`), or all of them (`none`).
    """

    name: ShortText | None = None
    artifact: ArtifactId | None = None
    pooling: Pooling | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.name is None) == (self.artifact is None):
            raise ValueError("give either `name` (a registered model) or `artifact` (an ONNX file), not both")
        return self


class DataReference(Strict):
    """A registered data set by name, or an artifact that holds `inputs` and `labels`."""

    name: ShortText | None = None
    artifact: ArtifactId | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.name is None) == (self.artifact is None):
            raise ValueError("give either `name` (a registered data set) or `artifact`, not both")
        return self


class InputReference(Strict):
    """One network state on one split: an artifact of recorded activations, or a model with data."""

    artifact: ArtifactId | None = None
    model: ModelReference | None = None
    data: DataReference | None = None
    state: State = "trained"
    split: Split = "train"
    instance: ShortText = "0"
    step: Annotated[int, Field(ge=0, lt=2**53)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.artifact is None) == (self.model is None):
            raise ValueError("give either `artifact` (recorded activations) or `model` with `data`, not both")
        if (self.model is None) != (self.data is None):
            raise ValueError("`model` and `data` go together")
        return self

    @property
    def role(self) -> tuple[str, State, Split, int | None]:
        """What the input is in the study: (instance, state, split, step)."""
        return (self.instance, self.state, self.split, self.step)


class LayerSelection(Strict):
    """Layers by name or glob (`*`, `?`, `[...]`); `exclude` wins."""

    include: Annotated[list[Name], Field(min_length=1, max_length=10_000)] = ["*"]
    exclude: Annotated[list[Name], Field(max_length=10_000)] = []


class SamplePart(Strict):
    """One of several disjoint parts of the rows."""

    number: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=2, le=1000)]

    @model_validator(mode="after")
    def _exists(self) -> Self:
        if self.number >= self.of:
            raise ValueError(f"there are the parts 0 to {self.of - 1}")
        return self


class Sampling(Strict):
    """How many rows of each class are used.

    `equal` cuts every class of every input to the common minimum by one seeded draw; `all` keeps every row;
    a number draws that many rows of each class. Where rows are left out, `repeats` measures every layer over so many
    draws and reports their spread. `trend` measures every layer at a quarter and a half of the rows, too: the estimate
    is biased towards 0, and this shows by how much. `part` analyses only one of so many disjoint, random parts of the
    rows, the same for every layer and state: analyses of several parts are independent.
    """

    per_class: Literal["equal", "all"] | Annotated[int, Field(ge=2, le=1_000_000)] = "equal"
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    trend: bool = False
    part: SamplePart | None = None

    @model_validator(mode="after")
    def _one_kind_of_repetition(self) -> Self:
        if self.part is not None and self.repeats > 1:
            raise ValueError("`part` and `repeats` exclude each other: a part is one fixed set of rows")
        return self


class TestOptions(Strict):
    """How the tests are made.

    `method` is that of the permutation test: `auto` uses the exact lattice distribution where it exists and Monte
    Carlo elsewhere. `classes` says what the classes stand for: `fixed` (these very classes) or `sample` (drawn from a
    population of classes, which adds the leave-one-class-out jackknife beside the subsample test). `adjustment` is for
    the tests of one family. On request, training and validation data of a layer are also compared sample by sample:
    `membership` reshuffles who was trained on, over trees built anew each time (`rebuild`, slow) or over fixed ones
    (`score`, quick); `shift` asks whether the two sets differ at all.
    """

    __test__ = False  # not a pytest class

    n_resamples: Annotated[int, Field(ge=99, le=10_000_000)] = 50_000
    method: Literal["auto", "exact", "monte_carlo"] = "auto"
    classes: Literal["fixed", "sample"] = "fixed"
    adjustment: Literal["holm", "benjamini_hochberg"] = "holm"
    membership: Literal["none", "score", "rebuild"] = "none"
    shift: bool = False


Block = Annotated[list[Name], Field(min_length=2, max_length=10_000)]


class AnalysisRequest(Strict):
    """Everything that decides a report, together with the bytes of the inputs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inputs": [
                        {"artifact": "sha256:" + "0f" * 32, "state": "trained", "split": "train", "instance": "0"},
                        {"artifact": "sha256:" + "1e" * 32, "state": "trained", "split": "validation", "instance": "0"},
                    ],
                    "metric": "euclidean",
                    "layers": {"include": ["*"], "exclude": []},
                    "components": {"blocks": ["0.Input", "2.MaxPool", "4.MaxPool", "5.ReLU", "6.Softmax"]},
                    "sampling": {"per_class": "equal"},
                    "tests": {"n_resamples": 50000, "method": "auto"},
                    "seed": 0,
                    "tags": {"project": "digits"},
                }
            ]
        }
    )

    inputs: Annotated[list[InputReference], Field(min_length=1, max_length=1_000)]
    metric: Metric = "euclidean"
    layers: LayerSelection = LayerSelection()
    components: Annotated[dict[ShortText, Block], Field(max_length=100)] = {}
    sampling: Sampling = Sampling()
    tests: TestOptions = TestOptions()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    priority: Annotated[
        int, Field(ge=-100, le=100, description="Among your own analyses, the highest goes first. Not in the report.")
    ] = 0
    tags: Annotated[dict[ShortText, TagText], Field(max_length=32)] = {}

    @property
    def artifacts(self) -> list[str]:
        """Ids of all files that the analysis reads, each once."""
        found: list[str | None] = []
        for item in self.inputs:
            found += [source.artifact for source in (item, item.model, item.data) if source is not None]
        return list(dict.fromkeys(artifact for artifact in found if artifact is not None))

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: set[tuple[str, State, Split, int | None]] = set()
        for item in self.inputs:
            if item.role in seen:
                instance, state, split, step = item.role
                at = "" if step is None else f", step {step}"
                raise ValueError(
                    f"two inputs are both instance {instance!r}, {state}, {split}{at}: "
                    "give each its own `instance`, `state`, `split` or `step`"
                )
            seen.add(item.role)
        for name, block in self.components.items():
            if len(set(block)) != len(block):
                raise ValueError(f"`components.{name}` names a layer twice")
        return self
