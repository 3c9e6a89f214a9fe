"""Reports that come from outside: read strictly, and refused where no analysis could have made them."""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from pydantic import ValidationError

from contract.schemas.problem import FieldError, ProblemError
from contract.schemas.report import SCHEMA_NAME, SCHEMA_VERSION, Report, Separation

_MAJOR = int(SCHEMA_VERSION.partition(".")[0])
_MOST_ERRORS = 20
_ROUNDING = 1e-9  # of the statistic, between what is written and what follows from the counts


def read_report(content: bytes) -> Report:
    """Return the report in some bytes.

    Raises
    ------
    ProblemError
        `invalid_json`; `report_schema_unsupported` for a newer major version; `report_invalid` for everything else
        that is not a report, or whose numbers contradict each other.
    """
    found = _document(content)
    _check_version(found)
    try:
        report = Report.model_validate(found)
    except ValidationError as error:
        fields = [
            FieldError(pointer="/" + "/".join(map(str, item["loc"])), message=item["msg"])
            for item in error.errors(include_input=False, include_url=False)[:_MOST_ERRORS]
        ]
        first = f"{fields[0].pointer}: {fields[0].message}"
        raise ProblemError("report_invalid", f"this does not fit the schema of a report: {first}", fields) from error
    for contradiction in _contradictions(report):
        raise ProblemError("report_invalid", f"{contradiction}; send the file as `interlayer analyze` wrote it")
    return report


def _document(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content, object_pairs_hook=_distinct, parse_constant=_refuse_constant)
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair cannot be written down again
    except (ValueError, RecursionError) as error:
        raise ProblemError("invalid_json", f"a report is one JSON document in UTF-8: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA_NAME:
        raise ProblemError("report_invalid", f'a report says "schema": "{SCHEMA_NAME}"; this does not')
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a field twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_version(found: dict[str, Any]) -> None:
    version = found.get("schema_version")
    major = version.partition(".")[0] if isinstance(version, str) else ""
    if not (major.isdecimal() and major.isascii()):
        raise ProblemError("report_invalid", 'a report has a "schema_version" such as "1.0"')
    if int(major[:9]) > _MAJOR:
        raise ProblemError(
            "report_schema_unsupported",
            f"the report is of schema {major}.x and this reads {_MAJOR}.x; update interlayer here",
        )


def _contradictions(report: Report) -> Iterator[str]:
    """Yield what no analysis could have written."""
    if not report.separations:
        yield "the report has no layer"
    roles = [(s.instance, s.state, s.split, s.step, s.layer) for s in report.separations]
    if len(set(roles)) != len(roles):
        yield "two of `separations` are of the same layer of the same network on the same split"
    if len(set(report.layers)) != len(report.layers) or len(set(report.classes)) != len(report.classes):
        yield "`layers` or `classes` names something twice"
    for separation in report.separations:
        yield from _contradictions_of(separation)


def _contradictions_of(separation: Separation) -> Iterator[str]:
    pairs, layer = separation.pairs, separation.layer[:80]
    n_classes = separation.n_classes
    if not len(pairs.statistic) == n_classes * (n_classes - 1) // 2 > 0:
        yield f"layer {layer!r} has {len(pairs.statistic)} class pairs for {n_classes} classes"
        return
    columns = zip(pairs.cross_edges, pairs.n_a, pairs.n_b, pairs.statistic, strict=True)
    for edges, m, n, statistic in columns:
        if not (1 <= edges <= m + n - 1 and m > 0 and n > 0):
            yield f"layer {layer!r} has {edges:g} cross edges between {m} and {n} points"
        elif not math.isclose(statistic, 1 - edges * (m + n) / (2 * m * n), abs_tol=_ROUNDING):
            yield f"in layer {layer!r} a statistic is not the one of its cross edges"
    if any(p is not None and not 0 <= p <= 1 for p in pairs.p_value):
        yield f"layer {layer!r} has a p-value outside 0 to 1"
    if not math.isclose(separation.mean, math.fsum(pairs.statistic) / len(pairs.statistic), abs_tol=_ROUNDING):
        yield f"the mean of layer {layer!r} is not the mean of its class pairs"
