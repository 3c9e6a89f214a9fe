"""The rows of uploaded files: who owns them and what a worker found in them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from contract.database import Database, clock, insert_into
from contract.formats import Format
from contract.schemas import Artifact, Inspection, Problem
from contract.tables import artifacts

ID_PREFIX = "sha256:"
# Control characters, halves of surrogate pairs, and what turns the direction of writing around.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_NAME = 200
_SEVERAL = select(artifacts).where(
    artifacts.c.tenant == bindparam("of"), artifacts.c.sha256.in_(bindparam("digests", expanding=True))
)


class Artifacts:
    """All statements on the artifact table. Every one names the tenant: nobody can tell what others uploaded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        tenant: str,
        sha256: str,
        size: int,
        file_format: Format,
        *,
        admit: Callable[[Connection, bool], None] = lambda *_: None,
    ) -> tuple[Artifact, bool]:
        """Note a stored file; the second value is False where the tenant had it already.

        `admit` is told so, in the transaction of the row, and may refuse it.
        """
        values = {
            "tenant": tenant,
            "sha256": sha256,
            "bytes": size,
            "format": file_format,
            "status": "pending",
            "created_at": clock(),
        }
        this = select(artifacts).where(artifacts.c.tenant == tenant, artifacts.c.sha256 == sha256)
        with self._database.write() as connection:
            adding = insert_into(artifacts, connection).values(values).on_conflict_do_nothing().returning(artifacts)
            added = connection.execute(adding).one_or_none()
            admit(connection, added is not None)
            row = connection.execute(this).one() if added is None else added
        return _artifact(row), added is not None

    def get(self, tenant: str, sha256: str) -> Artifact | None:
        """Return the tenant's artifact with this digest (64 hexadecimal digits)."""
        query = select(artifacts).where(artifacts.c.tenant == tenant, artifacts.c.sha256 == sha256)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _artifact(row)

    def several(self, tenant: str, digests: Sequence[str]) -> list[Artifact]:
        """Return those of the tenant's artifacts that are there."""
        if not digests:
            return []
        with self._database.read() as connection:
            rows = connection.execute(_SEVERAL, {"of": tenant, "digests": list(digests)})
            return [_artifact(row) for row in rows]

    def call(self, tenant: str, sha256: str, name: str | None) -> None:
        """Note under which name a file was sent, so that people recognise it; the last name counts."""
        if name:
            values = {"name": _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", name[:_LONGEST_NAME])}
            with self._database.write() as connection:
                connection.execute(
                    update(artifacts).where(artifacts.c.tenant == tenant, artifacts.c.sha256 == sha256).values(values)
                )

    def newest(self, tenant: str, limit: int) -> list[Artifact]:
        """Return the tenant's newest files."""
        query = select(artifacts).where(artifacts.c.tenant == tenant).order_by(artifacts.c.created_at.desc())
        with self._database.read() as connection:
            return [_artifact(row) for row in connection.execute(query.limit(limit))]

    def inspected(self, tenant: str, sha256: str, result: Inspection | Problem) -> None:
        """Store what a worker found in the file."""
        found = result.model_dump(mode="json")
        values: dict[str, Any] = (
            {"status": "invalid", "error": found}
            if isinstance(result, Problem)
            else {"status": "ready", "inspection": found}
        )
        with self._database.write() as connection:
            connection.execute(
                update(artifacts).where(artifacts.c.tenant == tenant, artifacts.c.sha256 == sha256).values(values)
            )

    def delete(self, tenant: str, sha256: str) -> bool:
        """Forget the file; returns False if the tenant has none."""
        with self._database.write() as connection:
            result = connection.execute(
                delete(artifacts).where(artifacts.c.tenant == tenant, artifacts.c.sha256 == sha256)
            )
        return bool(result.rowcount)


def _artifact(row: Row[Any]) -> Artifact:
    return Artifact.model_validate(
        {
            "id": ID_PREFIX + row.sha256,
            "name": row.name,
            "bytes": row.bytes,
            "kind": "model" if row.format == "onnx" else (row.inspection or {}).get("kind", "activations"),
            "format": row.format,
            "status": row.status,
            "created_at": row.created_at,
            "expires_at": None,
            "inspection": row.inspection,
            "error": row.error,
        }
    )
