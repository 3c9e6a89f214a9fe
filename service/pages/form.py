"""What was filled in on the form of a new analysis, as a request."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from contract.schemas import AnalysisRequest, FieldError, ProblemError

ROLES = {
    "trained-train": "trained, training data",
    "trained-validation": "trained, validation data",
    "untrained-train": "untrained, training data",
    "untrained-validation": "untrained, validation data",
}
DEFAULTS = {
    "metric": "euclidean",
    "per_class": "equal",
    "seed": "0",
    "n_resamples": "50000",
    "classes": "fixed",
    "membership": "none",
    "include": "*",
}
MODEL_ROWS = range(4)  # a network in both states on both splits
_ROLE = "role-"


class Filled:
    """The values of the form's fields, by name; a field that is absent reads as its default."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def of_files(cls, files: Sequence[str]) -> "Filled":
        """Return a form on which files, `ID` or `ID@role`, are marked as used."""
        roles = (file.partition("@") for file in files)
        return cls({f"{_ROLE}{digest}": role if role in ROLES else "trained-train" for digest, _, role in roles})

    def __getitem__(self, name: str) -> str:
        """Return what stands in a field."""
        return self._values.get(name, DEFAULTS.get(name, "")).strip()

    def chosen(self) -> list[str]:
        """Return the ids of the files that have a role."""
        return [name.removeprefix(_ROLE) for name, role in self._values.items() if name.startswith(_ROLE) and role]

    def request(self) -> AnalysisRequest:
        """Return the request.

        Raises
        ------
        ProblemError
            `invalid_request`, with one entry in `errors` for each field that is wrong.
        """
        inputs = [self._input(digest) for digest in self.chosen()] + self._models()
        if not inputs:
            raise ProblemError("invalid_request", "choose at least one file: say what it is in the column “used as”")
        body: dict[str, Any] = {
            "inputs": inputs,
            "metric": self["metric"],
            "layers": {"include": _names(self["include"]) or ["*"], "exclude": _names(self["exclude"])},
            "components": self._components(),
            "sampling": {"per_class": self._per_class(), "trend": self["trend"] == "on"},
            "tests": {
                "n_resamples": self["n_resamples"],
                "classes": self["classes"],
                "membership": self["membership"],
                "shift": self["shift"] == "on",
            },
            "seed": self["seed"],
            "tags": dict(self._pairs("tags")),
        }
        try:
            return AnalysisRequest.model_validate(body)
        except ValidationError as error:
            fields = [
                FieldError(pointer="/".join(map(str, item["loc"])), message=item["msg"].removeprefix("Value error, "))
                for item in error.errors()
            ]
            raise ProblemError("invalid_request", "some fields cannot be used:", fields) from error

    def _models(self) -> list[dict[str, Any]]:
        """Return the inputs that are a model with data, in the rows where a model was chosen."""
        return [
            {
                "model": _reference(self[f"model-{row}"]),
                "data": _reference(self[f"data-{row}"]),
                **self._where(self[f"modelrole-{row}"] or "trained-train", f"model{row}"),
            }
            for row in MODEL_ROWS
            if self[f"model-{row}"]
        ]

    def _input(self, digest: str) -> dict[str, Any]:
        return {"artifact": digest, **self._where(self[_ROLE + digest], digest)}

    def _where(self, role: str, row: str) -> dict[str, Any]:
        state, _, split = role.partition("-")
        step = self[f"step-{row}"]
        return {"state": state, "split": split, "instance": self[f"instance-{row}"] or "0", "step": step or None}

    def _per_class(self) -> str | int:
        rule = self["per_class"]
        return int(rule) if rule.isdecimal() else rule

    def _components(self) -> dict[str, list[str]]:
        return {name: _names(layers) for name, layers in self._pairs("components")}

    def _pairs(self, field: str) -> list[tuple[str, str]]:
        """Return the lines `name = value` of a field."""
        found = []
        for line in filter(None, map(str.strip, self[field].splitlines())):
            name, sign, value = line.partition("=")
            if not sign or not name.strip():
                raise ProblemError("invalid_request", f"{field}: write one NAME = VALUE a line, not {line[:60]!r}")
            found.append((name.strip(), value.strip()))
        return found


def _reference(chosen: str) -> dict[str, str]:
    """Return what was chosen of a list of files (by id) and registered names (behind `name:`)."""
    return {"name": chosen.removeprefix("name:")} if chosen.startswith("name:") else {"artifact": chosen}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
