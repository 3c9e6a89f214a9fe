"""The rows of the upload table, as the rest of the program knows them."""

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from contract.artifacts import ID_PREFIX
from contract.formats import Format
from contract.schemas import ProblemError
from contract.tables import uploads


@dataclass(frozen=True)
class Upload:
    """One resumable upload."""

    id: str
    tenant: str
    length: int
    received: int
    description: str
    expected_sha256: str | None
    sha256: str | None
    format: Format | None
    expires_at: float

    @property
    def artifact_id(self) -> str | None:
        """The artifact that the upload has become."""
        return None if self.sha256 is None else ID_PREFIX + self.sha256


def upload_of(row: Row[Any]) -> Upload:
    """Return a row as an upload."""
    names = Upload.__dataclass_fields__
    return Upload(**{name: getattr(row, name) for name in names})


def is_upload(tenant: str, upload_id: str) -> Any:
    """Return the condition that a row is this one of a tenant."""
    return (uploads.c.tenant == tenant) & (uploads.c.id == upload_id)


def file_name(description: str) -> str | None:
    """Return `filename` of an Upload-Metadata header."""
    for item in description.split(","):
        name, _, value = item.strip().partition(" ")
        if name == "filename":
            with suppress(ValueError):
                return base64.b64decode(value, validate=True).decode()
    return None


def require_offset(upload: Upload, offset: int) -> None:
    """Refuse bytes that do not go on where the upload stands."""
    if offset != upload.received:
        raise ProblemError(
            "offset_conflict",
            f"the upload stands at {upload.received}, not at {offset}; go on from there",
            headers={"Upload-Offset": str(upload.received)},
        )


def absent(upload_id: str) -> ProblemError:
    """Return what is said of an upload that there is none of."""
    return ProblemError("upload_not_found", f"there is no upload {upload_id}; begin one with POST /v1/uploads")
