"""Sessions of people who signed in to the pages with a key. A session is worth what its key is worth at the moment."""

import hashlib
import secrets

from sqlalchemy import delete, insert, or_, select

from contract.database import Database, clock
from contract.keys import Caller
from contract.tables import api_keys, sessions

SESSION_SECONDS = 12 * 3600.0


class Sessions:
    """All statements on the session table. Only digests of the secrets are stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, caller: Caller) -> str:
        """Begin a session of the caller's key and return its secret; ended sessions are forgotten here."""
        secret = secrets.token_urlsafe(32)
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_at < clock()))
            connection.execute(
                insert(sessions).values(
                    secret_sha256=_digest(secret), key_id=caller.key_id, expires_at=clock() + SESSION_SECONDS
                )
            )
        return secret

    def caller(self, secret: str) -> Caller | None:
        """Return whose session this is; None where it, or its key, has expired or was revoked."""
        usable = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > clock())
        query = (
            select(api_keys.c.id, api_keys.c.tenant, api_keys.c.scopes)
            .join(sessions, sessions.c.key_id == api_keys.c.id)
            .where(sessions.c.secret_sha256 == _digest(secret), sessions.c.expires_at > clock(), usable)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Caller(row.id, row.tenant, frozenset(row.scopes))

    def end(self, secret: str) -> None:
        """End a session."""
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.secret_sha256 == _digest(secret)))


def _digest(secret: str) -> str:
    # Looked up by digest: what the time of the look-up tells is of no use against 256 random bits.
    return hashlib.sha256(secret.encode()).hexdigest()
