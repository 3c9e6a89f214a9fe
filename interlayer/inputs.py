"""How files, their roles and the options of an analysis are written on a command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from contract.schemas import Split, State
from interlayer.errors import UsageError
from interlayer.local import LocalInput
from interlayer.model_input import NAMED, ModelInput

_ROLES = ("state", "split", "instance", "step")
_CHOICES = {"state": get_args(State), "split": get_args(Split)}

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="Files of activations. Say what a file is after @: run.npz@state=untrained,split=validation,instance=1",
        show_default=False,
    ),
]
Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|MODEL...",
        help="Files of activations, or models to run: an .onnx file or name:REGISTERED, with data. Say what each is "
        "after @: run.npz@state=untrained,split=validation,instance=1, network.onnx@data=inputs.npz, "
        "name:cnn@data=name:digits,split=validation,pooling=mean",
        show_default=False,
    ),
]
StateOption = Annotated[str, typer.Option(help="Of files that do not say it: trained or untrained.")]
SplitOption = Annotated[str, typer.Option(help="Of files that do not say it: train or validation.")]
InstanceOption = Annotated[str, typer.Option(help="Of files that do not say it: a name for the trained network.")]
MetricOption = Annotated[str, typer.Option(help="euclidean or cosine.")]
LayerOption = Annotated[list[str] | None, typer.Option(help="Layers by name or glob; may be repeated.")]
ExcludeOption = Annotated[list[str] | None, typer.Option(help="Layers to leave out; may be repeated.")]
ComponentOption = Annotated[
    list[str] | None, typer.Option(help="A named path of layers to test as steps: blocks=0.Input,2.MaxPool,6.Softmax")
]
PerClassOption = Annotated[str, typer.Option(help="Rows of each class: equal, all, or a number.")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.")]
ResamplesOption = Annotated[int, typer.Option(help="Monte Carlo draws where no exact test exists.")]
MethodOption = Annotated[str, typer.Option(help="Permutation test: auto, exact or monte_carlo.")]
ClassesOption = Annotated[str, typer.Option(help="fixed: these very classes; sample: classes like these.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Any other field of the request: tests.membership=score, tests.shift=true, sampling.trend=true, …",
    ),
]


def parse_inputs(files: list[str], state: str, split: str, instance: str) -> list[LocalInput]:
    """Return the inputs that the arguments name.

    Raises
    ------
    UsageError
        A file is not there, or its role is none, or that of another.
    """
    defaults = {"state": state, "split": split, "instance": instance}
    inputs = [_file(*_parted(text, defaults, _ROLES)) for text in files]
    _require_apart(files, inputs)
    return inputs


def parse_sources(files: list[str], state: str, split: str, instance: str) -> list[LocalInput | ModelInput]:
    """Return the inputs that the arguments name, of which some may be models with their data.

    Raises
    ------
    UsageError
        As of `parse_inputs`; or a model without data, or data for what is no model.
    """
    defaults = {"state": state, "split": split, "instance": instance}
    inputs: list[LocalInput | ModelInput] = []
    for text in files:
        name, roles = _parted(text, defaults, (*_ROLES, "data", "pooling"))
        if name.startswith(NAMED) or name.endswith(".onnx"):
            inputs.append(_model(name, roles))
        elif "data" in roles or "pooling" in roles:
            raise UsageError(f"{name} is no model, so data= and pooling= say nothing of it; models are .onnx or name:…")
        else:
            inputs.append(_file(name, roles))
    _require_apart(files, inputs)
    return inputs


def _require_apart(files: list[str], inputs: Sequence[LocalInput | ModelInput]) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for text, item in zip(files, inputs, strict=True):
        role = (item.instance, item.state, item.split, str(item.step))
        if role in seen:
            raise UsageError(
                f"{seen[role]} and {text} are both {item.split} data of the {item.state} network {item.instance!r}: "
                f"say after @ what each is, as in {Path(text.partition('@')[0]).name}@split=validation"
            )
        seen[role] = text


def _parted(text: str, defaults: dict[str, str], known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Return what stands before the last @, and the roles after it."""
    roles = dict(defaults)
    name, at, suffix = text.rpartition("@")
    if not at or "=" not in suffix:
        name, suffix = text, ""
    for item in filter(None, suffix.split(",")):
        role, _, value = item.partition("=")
        if role not in known or not value:
            raise UsageError(f"{item!r} in {text!r} is none of {', '.join(f'{r}=…' for r in known)}")
        roles[role] = value
    if not roles.get("step", "0").isdigit():
        raise UsageError(f"step={roles['step']!r} in {text!r} must be a whole number")
    for role, choices in _CHOICES.items():
        if roles[role] not in choices:
            raise UsageError(f"the {role} of {name} is {' or '.join(choices)}, not {roles[role]!r}")
    return name, roles


def _file(name: str, roles: dict[str, str]) -> LocalInput:
    step = roles.pop("step", None)
    if not Path(name).is_file():
        raise UsageError(f"there is no file {name}")
    return LocalInput(Path(name), **roles, step=None if step is None else int(step))


def _model(name: str, roles: dict[str, str]) -> ModelInput:
    step, data = roles.pop("step", None), roles.pop("data", None)
    if data is None:
        raise UsageError(
            f"{name} is a model; say after @ what it runs on, {name}@data=FILE or {name}@data=name:NAME "
            "(`interlayer models` lists the names)"
        )
    made = ModelInput(name, data, **roles, step=None if step is None else int(step))
    for path in made.files:
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
    return made


def parse_options(
    *,
    metric: str,
    layer: list[str] | None,
    exclude: list[str] | None,
    component: list[str] | None,
    per_class: str,
    seed: int,
    n_resamples: int,
    method: str,
    classes: str,
    device: str,
    fields: list[str] | None,
) -> dict[str, Any]:
    """Return the fields of a request that the options mean."""
    components = {}
    for text in component or []:
        name, equals, layers = text.partition("=")
        if not equals:
            raise UsageError(f"--component {text!r} must be NAME=LAYER,LAYER,…")
        components[name] = [item.strip() for item in layers.split(",")]
    options: dict[str, Any] = {
        "metric": metric,
        "layers": {"include": layer or ["*"], "exclude": exclude or []},
        "components": components,
        "sampling": {"per_class": int(per_class) if per_class.isdigit() else per_class},
        "tests": {"n_resamples": n_resamples, "method": method, "classes": classes},
        "device": device,
        "seed": seed,
    }
    for text in fields or []:
        _set_field(options, text)
    return options


def _set_field(options: dict[str, Any], text: str) -> None:
    """Set a dotted field to a value: JSON where it is JSON, else the text itself."""
    path, equals, value = text.partition("=")
    *parents, name = path.split(".")
    if not equals or not name:
        raise UsageError(f"--set {text!r} must be FIELD=VALUE")
    for parent in parents:
        options = options.setdefault(parent, {})
        if not isinstance(options, dict):
            raise UsageError(f"--set {text!r}: {parent} has no fields")
    try:
        options[name] = json.loads(value)
    except ValueError:
        options[name] = value
