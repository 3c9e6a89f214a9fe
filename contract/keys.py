"""API keys: 256 random bits, stored only as a SHA-256 digest."""

import hashlib
import hmac
import secrets
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.exc import OperationalError

from contract.database import Database, clock
from contract.schemas import Key, NewKey, Scope
from contract.tables import api_keys

ALL_SCOPES: tuple[Scope, ...] = ("read", "submit", "admin")
_USE_RESOLUTION_SECONDS = 60.0  # `last_used_at` is this coarse, so that most requests write nothing
# A key that was valid is taken for valid so long without asking the database: another process that revokes it is obeyed
# after this.
RECALL_SECONDS = 2.0
_MOST_RECALLED = 10_000
log = structlog.get_logger()


@dataclass(frozen=True)
class Caller:
    """Who a request comes from."""

    key_id: str
    tenant: str
    scopes: frozenset[Scope]


class Keys:
    """All statements on the key table."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._note_again = 0.0  # by the monotonic clock: a failed attempt cost seconds
        self._recalled: dict[str, tuple[Caller, float]] = {}  # by the digest of the whole key: until when

    def create(self, tenant: str, name: str, scopes: Sequence[Scope], *, expires_at: float | None = None) -> NewKey:
        """Make a key. Its secret is in the answer and nowhere else."""
        with self._database.write() as connection:
            return self._insert(connection, tenant, name, scopes, expires_at)

    def create_first(self, tenant: str = "default") -> NewKey | None:
        """Make the administrator's key where there is no key at all, else return None."""
        with self._database.write() as connection:
            self._database.one_at_a_time(connection, "first key")
            if connection.execute(select(api_keys.c.id).limit(1)).first() is not None:
                return None
            return self._insert(connection, tenant, "first key", ALL_SCOPES, None)

    def _insert(
        self, connection: Any, tenant: str, name: str, scopes: Sequence[Scope], expires_at: float | None
    ) -> NewKey:
        key_id = secrets.token_hex(8)
        secret = _new_secret(key_id)
        row = connection.execute(
            insert(api_keys)
            .values(
                id=key_id,
                tenant=tenant,
                name=name,
                secret_sha256=_digest(secret),
                scopes=list(scopes),
                created_at=clock(),
                expires_at=expires_at,
            )
            .returning(api_keys)
        ).one()
        return NewKey(**_key(row).model_dump(), key=f"il_{key_id}_{secret}")

    def rotate(self, tenant: str, key_id: str, overlap_seconds: float) -> NewKey | None:
        """Give a key a new secret; the old one stays valid for a while. None if the tenant has no such key."""
        secret = _new_secret(key_id)
        with self._database.write() as connection:
            row = connection.execute(
                update(api_keys)
                .where(api_keys.c.tenant == tenant, api_keys.c.id == key_id)
                .values(
                    secret_sha256=_digest(secret),
                    old_secret_sha256=api_keys.c.secret_sha256,
                    old_secret_until=clock() + overlap_seconds,
                )
                .returning(api_keys)
            ).one_or_none()
        self._recalled.clear()
        return None if row is None else NewKey(**_key(row).model_dump(), key=f"il_{key_id}_{secret}")

    def recall(self, token: str) -> Caller | None:
        """Return the caller whose key `authenticate` found valid in this process a moment ago, without a look."""
        caller, until = self._recalled.get(_digest(token), (None, 0.0))
        return caller if time.monotonic() < until else None

    def authenticate(self, token: str) -> Caller | None:
        """Return the caller whose key this is, or None: for unknown, wrong, expired and deleted keys alike."""
        looked = time.monotonic()
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        usable = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > clock())
        overlap = func.coalesce(api_keys.c.old_secret_until > clock(), False)
        with self._database.read() as connection:
            row = connection.execute(
                select(api_keys, (clock() - api_keys.c.last_used_at).label("age"), overlap.label("old_is_valid")).where(
                    api_keys.c.id == key_id, usable
                )
            ).one_or_none()
        # One code path, whether the id is unknown or the secret is wrong, and two comparisons in any case.
        stored = row.secret_sha256 if row is not None else _digest("")
        old = row.old_secret_sha256 if row is not None and row.old_is_valid else _digest("")
        digest = _digest(secret)
        matches = hmac.compare_digest(stored, digest) | hmac.compare_digest(old, digest)
        if row is None or not matches or prefix != "il" or secret == "":
            return None
        if row.age is None or row.age > _USE_RESOLUTION_SECONDS:
            self._note_use(key_id)
        caller = Caller(row.id, row.tenant, frozenset(row.scopes))
        if len(self._recalled) >= _MOST_RECALLED:
            self._recalled.clear()
        self._recalled[_digest(token)] = caller, looked + RECALL_SECONDS
        return caller

    def _note_use(self, key_id: str) -> None:
        """Write down that a key was used, if that can be done: who only reads is not refused for it."""
        if time.monotonic() < self._note_again:
            return
        try:
            with self._database.write() as connection:
                connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=clock()))
        except OperationalError as error:  # locked by a process that stands still, or no room on the disk
            log.warning("the use of a key is not noted", key=key_id, error=str(error.orig))
            self._note_again = time.monotonic() + _USE_RESOLUTION_SECONDS

    def list(self, tenant: str) -> list[Key]:
        """Return the tenant's keys, oldest first."""
        query = select(api_keys).where(api_keys.c.tenant == tenant).order_by(api_keys.c.created_at, api_keys.c.id)
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(query)]

    def delete(self, tenant: str, key_id: str) -> bool:
        """Revoke a key; returns False if the tenant has none of this id."""
        with self._database.write() as connection:
            result = connection.execute(delete(api_keys).where(api_keys.c.tenant == tenant, api_keys.c.id == key_id))
        self._recalled.clear()
        return bool(result.rowcount)


def _new_secret(key_id: str) -> str:
    """Return 256 random bits and a checksum, by which scanners of source code know a key of ours from noise."""
    secret = secrets.token_urlsafe(32)
    return f"{secret}{zlib.crc32((key_id + secret).encode()):08x}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Row[Any]) -> Key:
    return Key.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "scopes": row.scopes,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "last_used_at": row.last_used_at,
        }
    )
