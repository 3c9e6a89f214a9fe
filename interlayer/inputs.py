"""How files, their roles and the options of an analysis are written on a command line."""

import json
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from contract.schemas import Split, State
from interlayer.errors import UsageError
from interlayer.local import LocalInput

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
    inputs = [_parse_input(text, {"state": state, "split": split, "instance": instance}) for text in files]
    seen: dict[tuple[str, ...], str] = {}
    for text, item in zip(files, inputs, strict=True):
        role = (item.instance, item.state, item.split, str(item.step))
        if role in seen:
            raise UsageError(
                f"{seen[role]} and {text} are both {item.split} data of the {item.state} network {item.instance!r}: "
                f"say after @ what each is, as in {Path(item.path).name}@split=validation"
            )
        seen[role] = text
    return inputs


def _parse_input(text: str, roles: dict[str, str]) -> LocalInput:
    name, at, suffix = text.rpartition("@")
    if not at or "=" not in suffix:
        name, suffix = text, ""
    for item in filter(None, suffix.split(",")):
        role, _, value = item.partition("=")
        if role not in _ROLES or not value:
            raise UsageError(f"{item!r} in {text!r} is none of {', '.join(f'{r}=…' for r in _ROLES)}")
        roles[role] = value
    step = roles.pop("step", None)
    if step is not None and not step.isdigit():
        raise UsageError(f"step={step!r} in {text!r} must be a whole number")
    for role, choices in _CHOICES.items():
        if roles[role] not in choices:
            raise UsageError(f"the {role} of {name} is {' or '.join(choices)}, not {roles[role]!r}")
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"there is no file {name}")
    return LocalInput(path, **roles, step=None if step is None else int(step))


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
