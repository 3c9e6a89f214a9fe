"""Style sheets and scripts of the pages. An address changes with its content, so browsers may keep them for ever."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

from contract.schemas import ProblemError
from interlayer.render.html import report_script, report_style

router = APIRouter()
_OWN = {
    "lab.css": "text/css",
    "live.js": "text/javascript",
    "upload.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file as it is served."""

    content: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """What tells this content from an earlier one."""
        return hashlib.sha256(self.content).hexdigest()[:16]


@cache
def _assets() -> dict[str, Asset]:
    folder = files("service.pages").joinpath("static")
    own = {name: Asset(folder.joinpath(name).read_bytes(), kind) for name, kind in _OWN.items()}
    shared = {
        "report.css": Asset(report_style().encode(), "text/css"),
        "report.js": Asset(report_script().encode(), "text/javascript"),
    }
    return own | shared


def address(name: str) -> str:
    """Return where a file is served."""
    return f"/static/{_assets()[name].digest}/{name}"


@router.get("/static/{digest}/{name}")
def static(digest: str, name: str) -> Response:
    """Return a style sheet or script."""
    asset = _assets().get(name)
    if asset is None or asset.digest != digest:
        raise ProblemError("not_found", "there is no such file; load the page anew")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(asset.content, 200, headers, asset.media_type)
