"""The models and data sets that the administrator offers by name: one TOML file. Jobs give names, never paths.

[models.digits-cnn]
description = "Two convolutions and a dense layer"
factory = "my_networks:digits_cnn"       # or transformers = "a folder", torchvision = "resnet18", timm = "resnet18"
weights = "digits-cnn.safetensors"       # relative to this file
sha256 = "…"

[data.digits]
sklearn = "digits"                       # or mnist, cifar10, images = "folder"; or train, validation = "file"
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from contract.schemas import Pooling, ProblemError, Split

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Factory = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Architecture = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$")]  # no address of one, `hf-hub:…`
Channels = Annotated[list[float], Field(min_length=1, max_length=16)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_EntryType = TypeVar("_EntryType", bound=_Entry)


class Preprocessing(_Entry):
    """What is done to the inputs of a model, in this order."""

    shape: list[Annotated[int, Field(gt=0)]] | None = Field(None, description="Shape that every row is given.")
    channels: Literal["first", "last"] | None = Field(
        None, description="Where the model wants the channels; the data have them at the other end."
    )
    resize: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Height and width; bilinear."
    )
    scale: float | None = Field(None, description="Factor on every value, 1/255 for bytes.")
    mean: Channels | None = Field(None, description="Subtracted from each channel.")
    std: Channels | None = Field(None, description="Each channel is divided by it.")
    dtype: Literal["float32", "float64", "float16", "int64", "int32"] | None = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.mean is None) != (self.std is None) or (self.mean and len(self.mean) != len(self.std or [])):
            raise ValueError("`mean` and `std` go together, one number for each channel")
        if self.std and 0 in self.std:
            raise ValueError("`std` must not hold 0")
        return self


class RegisteredModel(_Entry):
    """How a model is made. Exactly one of `factory`, `transformers`, `torchvision` and `timm` says what it is."""

    description: str = ""
    factory: Factory | None = Field(None, description="`module:function`; returns a torch.nn.Module.")
    transformers: Path | None = Field(
        None, description="Folder with config.json and, for trained models, model.safetensors."
    )
    torchvision: Architecture | None = Field(None, description="Name of an architecture of torchvision.models.")
    timm: Architecture | None = Field(None, description="Name of an architecture of timm.")
    arguments: dict[str, Any] = Field({}, description="Passed to the factory or architecture by keyword.")
    weights: Path | None = Field(None, description="A .safetensors file; without it, only untrained twins exist.")
    sha256: Sha256 | None = Field(None, description="Digest of `weights`, or of the folder's model.safetensors.")
    input: Preprocessing = Preprocessing()
    pooling: Pooling = Field("none", description="What becomes of a token axis where a job does not say it.")
    batch_size: Annotated[int, Field(gt=0, le=65536)] = 64
    layers: list[str] = Field([], description="Names of the layers, where the administrator wants to list them.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("factory", "transformers", "torchvision", "timm") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of `factory`, `transformers`, `torchvision` and `timm`")
        if self.transformers is not None and self.weights is not None:
            raise ValueError("`weights` of a `transformers` folder are its model.safetensors; remove `weights`")
        if self.weights is not None and self.sha256 is None:
            raise ValueError("weights need their `sha256`, so that they cannot change unnoticed")
        if self.sha256 is not None and self.weights is None and self.transformers is None:
            raise ValueError("`sha256` is of `weights`, which are not given")
        if self.transformers is not None and self.arguments:
            raise ValueError("`arguments` do not go with `transformers`: config.json has them")
        return self

    @property
    def trained(self) -> bool:
        """Whether there are weights beside the architecture."""
        return self.weights is not None or self.sha256 is not None


class RegisteredData(_Entry):
    """Where a data set lies. Exactly one of `sklearn`, `mnist`, `cifar10`, `images` and `train` says what it is."""

    description: str = ""
    sklearn: Literal["digits", "iris", "wine", "breast_cancer"] | None = None
    mnist: Path | None = Field(None, description="Folder with the four IDX files.")
    cifar10: Path | None = Field(None, description="Folder with the binary batches.")
    images: Path | None = Field(
        None, description="Folder with a folder of images for each class, or `train` and `validation` with these."
    )
    size: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Height and width that images are brought to."
    )
    mode: Literal["RGB", "L"] = Field("RGB", description="Colour or grey images.")
    train: Path | None = Field(None, description="File with `inputs` and `labels`.")
    validation: Path | None = Field(None, description="The same for the validation split.")
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="Share of each class that is the validation split, where the data have none of their own."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="Seed of that split.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("sklearn", "mnist", "cifar10", "images", "train") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of `sklearn`, `mnist`, `cifar10`, `images` and `train`")
        if self.images is not None and self.size is None:
            raise ValueError("`images` need the `size` that they are brought to")
        if self.validation is not None and self.train is None:
            raise ValueError("`validation` goes with `train`")
        return self

    def file(self, split: Split) -> Path | None:
        """Return the file of a split; without `validation`, both splits are made from the first."""
        return self.validation if split == "validation" and self.validation is not None else self.train


class Registry(_Entry):
    """All names on offer. A job's name is looked up here and is nothing else."""

    models: dict[str, RegisteredModel] = {}
    data: dict[str, RegisteredData] = {}

    def model(self, name: str) -> RegisteredModel:
        """Return the model of that name; raises `unknown_model`."""
        if name not in self.models:
            raise ProblemError("unknown_model", f"no model {name!r} is registered here; there are {_some(self.models)}")
        return self.models[name]

    def data_set(self, name: str) -> RegisteredData:
        """Return the data set of that name; raises `unknown_data`."""
        if name not in self.data:
            raise ProblemError("unknown_data", f"no data set {name!r} is registered here; there are {_some(self.data)}")
        return self.data[name]


def load_registry(path: Path | None) -> Registry:
    """Read the file; without one, nothing is registered.

    Raises
    ------
    ProblemError
        `registry_invalid`: the file is absent or wrong. It is for the administrator, and names the entry.
    """
    if path is None:
        return Registry()
    try:
        found = Registry.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ProblemError("registry_invalid", f"{path.name} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ProblemError("registry_invalid", f"{path.name} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ProblemError("registry_invalid", f"{path.name}, {where}: {first['msg']}") from error
    folder = path.resolve().parent
    return Registry(
        models={name: _anchored(entry, folder) for name, entry in found.models.items()},
        data={name: _anchored(entry, folder) for name, entry in found.data.items()},
    )


def _anchored(entry: _EntryType, folder: Path) -> _EntryType:
    """Return an entry whose paths are absolute."""
    paths = {name: folder / value for name, value in entry if isinstance(value, Path)}
    return entry.model_copy(update=paths)


def _some(names: dict[str, Any], limit: int = 10) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:limit])
    return (shown or "none") + (f" and {len(names) - limit} more" if len(names) > limit else "")
