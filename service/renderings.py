"""A report as the HTTP answer that a client prefers."""

import hashlib
import re
from collections.abc import Callable, Sequence

from fastapi import Response

from contract.schemas import ProblemError, Report

JSON = "application/json"
MEDIA_TYPES = {
    "json": JSON,
    "html": "text/html",
    "md": "text/markdown",
    "csv": "text/csv",
    "xml": "application/xml",  # JUnit
    "sarif": "application/sarif+json",
}
CONTENT: dict[str, dict[str, str]] = {media_type: {} for media_type in MEDIA_TYPES.values()}


def known(extension: str) -> str:
    """Return the extension if there is such a form."""
    if extension not in MEDIA_TYPES:
        raise ProblemError("not_acceptable", f"there is no {extension!r} report; there are {', '.join(MEDIA_TYPES)}")
    return extension


def preferred(accept: str, offered: Sequence[str] = tuple(MEDIA_TYPES)) -> str:
    """Return the extension, of those offered, of the representation that `Accept` (RFC 9110) prefers."""
    ranges = [_media_range(item) for item in accept.split(",") if item.strip()] or [(1.0, "*/*")]
    preferences = {extension: _preference(MEDIA_TYPES[extension], ranges) for extension in offered}
    best = max(preferences, key=lambda extension: preferences[extension])
    if preferences[best][0] == 0:
        raise ProblemError("not_acceptable", f"there is {', '.join(MEDIA_TYPES[extension] for extension in offered)}")
    return best


def _preference(offered: str, ranges: Sequence[tuple[float, str]]) -> tuple[float, int]:
    """Return the quality that the most specific fitting range gives to a media type, and how specific that is."""
    found = (0.0, 0)
    for specificity, wanted in enumerate(("*/*", offered.partition("/")[0] + "/*", offered)):
        for quality, media_type in ranges:
            if media_type == wanted:
                found = (quality, specificity)
    return found


def _media_range(item: str) -> tuple[float, str]:
    media_type, *parameters = (part.strip() for part in item.lower().split(";"))
    for parameter in parameters:
        if match := re.fullmatch(r"q=([01](?:\.\d{0,3})?)", parameter):
            return float(match[1]), media_type
    return 1.0, media_type


def answer(content: bytes, extension: str, name: str) -> Response:
    """Return the stored bytes of a report in one of its forms, as a file of a name."""
    if extension != "json":
        content = _renderer(extension)(Report.model_validate_json(content)).encode()
    return represented(content, extension, name)


def represented(content: bytes, extension: str, name: str) -> Response:
    """Return bytes that are in a form already."""
    media_type = MEDIA_TYPES[extension]
    disposition = "inline" if extension == "html" else "attachment"
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()}-{extension}"',  # of these bytes: a release may render anew
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'{disposition}; filename="{name}.{extension}"',
    }
    if extension == "html":
        headers["Content-Security-Policy"] = "sandbox allow-scripts"  # its own policy is inside; this isolates it
    charset = "; charset=utf-8" if media_type.startswith("text/") else ""  # the others name it inside, or have no other
    return Response(content, 200, headers, media_type + charset)


def _renderer(extension: str) -> Callable[[Report], str]:
    if extension == "html":
        from interlayer.render.html import to_html

        return to_html
    from interlayer.render.findings import findings_to_junit, findings_to_sarif
    from interlayer.render.tables import to_csv, to_markdown

    return {"md": to_markdown, "csv": to_csv, "xml": findings_to_junit, "sarif": findings_to_sarif}[extension]
