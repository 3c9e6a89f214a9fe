"""The REST interface, at /docs: the OpenAPI document as a page that needs no script and no other server."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from service.pages.answers import PageRoute, page, signed_in_or_none

router = APIRouter(route_class=PageRoute)
_METHODS = ("get", "post", "put", "patch", "head", "delete")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a call."""

    name: str
    place: str
    required: bool
    told: str


@dataclass(frozen=True)
class Call:
    """One call of the interface."""

    id: str
    method: str
    path: str
    told: str
    parameters: tuple[Parameter, ...]
    bodies: tuple[str, ...]
    answers: tuple[tuple[str, str], ...]


@router.get("/docs")
def reference(request: Request) -> Response:
    """Describe every call."""
    document = request.app.openapi()
    groups: dict[str, list[Call]] = {}
    for path, calls in document["paths"].items():
        for method in _METHODS:
            if method in calls:
                found = calls[method]
                groups.setdefault((found.get("tags") or ["service"])[0], []).append(_call(method, path, found))
    caller = signed_in_or_none(request)
    schemas = {name: _fields(schema) for name, schema in document.get("components", {}).get("schemas", {}).items()}
    described = document["info"].get("description", "").strip().split("\n\n")[0]
    return page(request, "reference.html", caller, groups=groups, described=described, schemas=schemas)


def _call(method: str, path: str, found: dict[str, Any]) -> Call:
    parameters = tuple(
        Parameter(item["name"], item["in"], item.get("required", False), item.get("description", ""))
        for item in found.get("parameters", [])
    )
    answers = tuple(
        (status, answer.get("description", ""))
        for status, answer in found.get("responses", {}).items()
        if status.startswith("2")
    )
    bodies = tuple(_shape(content) for content in _contents(found))
    told = found.get("description", found.get("summary", ""))
    return Call(found.get("operationId", f"{method}{path}"), method.upper(), path, told, parameters, bodies, answers)


def _contents(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(found.get("requestBody", {}).get("content", {}).items())


def _shape(content: tuple[str, dict[str, Any]]) -> str:
    media_type, body = content
    name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return f"{media_type}: {name}" if name else media_type


def _fields(schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, type and description of the fields of an object."""
    return [(name, _type(field), field.get("description", "")) for name, field in schema.get("properties", {}).items()]


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "anyOf" in field or "oneOf" in field:
        return " or ".join(dict.fromkeys(_type(part) for part in field.get("anyOf", field.get("oneOf", []))))
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("const", field.get("type", "anything")))
