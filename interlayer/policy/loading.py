"""A policy file, TOML or YAML, with the line of every rule."""

import difflib
import hashlib
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from contract.schemas.policy import AnyRule, Policy, SeparationRule
from interlayer.errors import UsageError
from interlayer.policy.positions import Positions, read_yaml, toml_positions

_LARGEST_BYTES = 2**20
_KINDS = {kind.model_fields["check"].annotation.__args__[0]: kind for kind in get_args(get_args(AnyRule)[0])}


class PolicyError(UsageError):
    """The policy cannot be used; the message says where and what to do."""


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy, where it came from, and the line on which each of its rules begins."""

    policy: Policy
    path: str
    sha256: str
    lines: dict[str, int]


def load_policy(path: Path | str) -> LoadedPolicy:
    """Return the policy in a file; `.toml` is TOML, `.yaml` and `.yml` are YAML.

    Raises
    ------
    PolicyError
        It cannot be read, or is no policy.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyError(
            f"cannot read the policy {path}: {error.strerror}; `interlayer policy init` makes one"
        ) from error
    return read_policy(content, path.as_posix())


def read_policy(content: bytes, name: str) -> LoadedPolicy:
    """Return the policy in some bytes; the suffix of the name tells the language."""
    if len(content) > _LARGEST_BYTES:
        raise PolicyError(f"{name} has {len(content):,} bytes; a policy has at most {_LARGEST_BYTES:,}")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise PolicyError(f"{name} is not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8") from error
    found, positions = _parsed(text, name)
    if not isinstance(found, dict):
        raise PolicyError(f"{name}: a policy begins with `version: 1` and has `rules`")
    try:
        policy = Policy.model_validate(found)
    except ValidationError as error:
        raise PolicyError(_first(error, found, positions, name)) from error
    lines = {rule.id: positions.line(("rules", number)) for number, rule in enumerate(policy.rules)}
    return LoadedPolicy(policy, name, hashlib.sha256(content).hexdigest(), lines)


def refuse_expired(loaded: LoadedPolicy, today: date) -> None:
    """Refuse a policy with an exception that has run out: somebody must renew or remove it."""
    for rule in loaded.policy.rules:
        for ignored in rule.ignore_pairs if isinstance(rule, SeparationRule) else ():
            if ignored.expires < today:
                raise PolicyError(
                    f"{loaded.path}:{loaded.lines[rule.id]}: rule {rule.id!r} ignores {' / '.join(ignored.pair)} until "
                    f"{ignored.expires}, which is over; remove the exception, or renew it with a later date"
                )


def _parsed(text: str, name: str) -> tuple[Any, Positions]:
    suffix = Path(name).suffix.lower()
    if suffix == ".toml":
        try:
            return tomllib.loads(text), toml_positions(text)
        except tomllib.TOMLDecodeError as error:
            raise PolicyError(f"{name} is not TOML: {error}") from error
    if suffix not in (".yaml", ".yml"):
        raise PolicyError(f"{name}: a policy is a .yaml, .yml or .toml file")
    try:
        return read_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        said = " ".join(filter(None, (error.context, error.problem)))
        raise PolicyError(f"{name} is not a YAML policy: {' '.join(said.split())}{line}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyError(f"{name} is not a YAML policy: {' '.join(str(error).split())}") from error


def _first(error: ValidationError, found: dict[str, Any], positions: Positions, name: str) -> str:
    """Return the first thing that is wrong: its line, its place, and what would be right."""
    first = error.errors(include_url=False)[0]
    # The name of the kind of rule, which pydantic puts into the path, is no key of the file.
    place = tuple(key for key in first["loc"] if key not in _KINDS)
    where = ".".join(map(str, place)) or "the policy"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"there is no such field{_nearest(str(place[-1]), _fields(first['loc']))}"
    elif first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        given = _get(found, place).get("check") if isinstance(_get(found, place), dict) else None
        given_text = f"{given!r} is no kind of rule" if given is not None else "a rule needs `check`"
        message = f"{given_text}{_nearest(str(given), list(_KINDS))}; there are {', '.join(_KINDS)}"
    return f"{name}:{positions.line(place)}: {where}: {message}"


def _fields(location: tuple[int | str, ...]) -> list[str]:
    kind = next((_KINDS[key] for key in location if isinstance(key, str) and key in _KINDS), Policy)
    return list(kind.model_fields)


def _nearest(given: str, known: list[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _get(found: Any, place: tuple[int | str, ...]) -> Any:
    for key in place:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return None
    return found
