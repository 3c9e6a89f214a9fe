"""Resumable uploads: what a row says was received is on the disk, and a file is an artifact or cannot be seen.

A row whose `sha256` is known is complete; whatever a killed process left undone after that, `settle` does.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from contract.appending import Appending
from contract.artifacts import Artifacts
from contract.blobs import Blobs, Partial
from contract.database import Database, clock
from contract.formats import Format
from contract.jobs import Jobs, NewJob
from contract.queue import INSPECTION_QUEUE
from contract.quotas import Quotas
from contract.schemas import Artifact, ProblemError
from contract.settings import Settings
from contract.tables import uploads
from contract.upload_rows import Upload, absent, file_name, is_upload, require_offset, upload_of

COMMIT_BYTES = 16 * 2**20  # at most so much is sent again after the service was killed
_MOST_HASHES = 1000


class Uploads:
    """All statements on the upload table, and the files that belong to its rows."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        # Digests of what was received, so that the end of an upload need not read the file again. Any may be missing.
        self._hashes: OrderedDict[str, tuple[int, hashlib._Hash]] = OrderedDict()

    def create(self, tenant: str, length: int, description: str, expected_sha256: str | None) -> Upload:
        """Begin an upload of `length` bytes, for which there is room."""
        values = {
            "id": f"up_{self._blobs.spool()}{secrets.token_hex(12)}",  # so it says where its bytes are
            "tenant": tenant,
            "length": length,
            "received": 0,
            "description": description,
            "expected_sha256": expected_sha256,
            "expires_at": clock() + self._settings.upload_seconds,
        }
        Quotas(self._settings, self._database).require_bytes(tenant, length)
        with self._database.write() as connection:
            # Two uploads must not both be promised the last free bytes, neither of the tenant nor of the disk.
            self._database.one_at_a_time(connection, "promise of room on the disk")
            self._require_disk(connection, length)
            upload = upload_of(connection.execute(insert(uploads).values(values).returning(uploads)).one())
            Quotas(self._settings, self._database).hold_bytes(connection, tenant, length)
        self._blobs.begin(upload.id)
        return upload

    def require_room(self, tenant: str, size: int) -> None:
        """Refuse `size` more bytes that the tenant may not store, or that the disk has no room for, as things are."""
        Quotas(self._settings, self._database).require_bytes(tenant, size)
        with self._database.read() as connection:
            self._require_disk(connection, size)

    def _require_disk(self, connection: Connection, size: int) -> None:
        promised = select(func.coalesce(func.sum(uploads.c.length - uploads.c.received), 0))
        missing = int(connection.execute(promised).scalar_one())
        if self._blobs.free_bytes() - missing - size < self._settings.free_disk_reserve_bytes:
            raise ProblemError(
                "insufficient_storage", f"there is no room for {size} more bytes; delete artifacts or wait"
            )

    def get(self, tenant: str, upload_id: str) -> Upload:
        """Return an upload of the tenant; one that is complete has become an artifact when this returns."""
        upload = self._row(tenant, upload_id)
        if upload.sha256 is not None:
            self.settle(upload)
        return upload

    def settle(self, upload: Upload) -> None:
        """Make a complete upload an artifact, if its bytes are on this host. Doing it again changes nothing.

        Raises
        ------
        ProblemError
            `upload_locked` while another request sends the bytes to the store, which may take a while.
        StoreUnavailable
        """
        with ExitStack() as stack:
            if not self._blobs.in_place:
                stack.enter_context(self._held(upload.id))
            self.store(upload)

    def _row(self, tenant: str, upload_id: str) -> Upload:
        # Looked for before the row is: the file of a complete upload goes away after the row says so.
        lost = self._is_of_here(upload_id) and not self._blobs.partial(upload_id).exists()
        query = select(uploads, (uploads.c.expires_at < clock()).label("expired")).where(is_upload(tenant, upload_id))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise absent(upload_id)
        if row.expired:
            raise ProblemError("upload_expired", f"the upload {upload_id} has expired; begin a new one")
        upload = upload_of(row)
        if lost and upload.sha256 is None:
            self.forget(upload)
            raise absent(upload_id)
        return upload

    def _is_of_here(self, upload_id: str) -> bool:
        """Tell whether the bytes of an upload can be nowhere but in the folder of this process."""
        return self._blobs.in_place or upload_id.startswith(f"up_{self._blobs.spool()}")

    def elsewhere(self) -> int:
        """Return how many unfinished uploads are not in the folder of this process, so that it cannot go on."""
        query = select(uploads.c.id).where(uploads.c.sha256.is_(None), uploads.c.expires_at > clock())
        with self._database.read() as connection:
            ids = connection.execute(query).scalars().all()
        return sum(not self._is_of_here(each) and not self._blobs.partial(each).exists() for each in ids)

    def append(self, tenant: str, upload_id: str, offset: int) -> Appending:
        """Open an upload for the bytes from `offset` on. Nobody else can until it is closed."""
        self._row(tenant, upload_id)  # first: the answer for an id that does not exist
        with ExitStack() as stack:
            partial = stack.enter_context(self._held(upload_id))
            upload = self._row(tenant, upload_id)  # as it is now that nobody else changes it
            require_offset(upload, offset)
            if upload.sha256 is not None:
                raise ProblemError("invalid_upload", f"the upload is complete; it is {upload.artifact_id}")
            if partial is None and not self._is_of_here(upload_id):
                raise ProblemError("not_ready", f"another host of the service has {upload_id}; try again")
            if partial is None or not partial.cut(upload.received):
                self.forget(upload)  # its bytes are gone
                raise absent(upload_id)
            return Appending(self, upload, partial, self._hash_of(upload), stack.pop_all().close)

    @contextmanager
    def _held(self, upload_id: str) -> Iterator[Partial | None]:
        """Hold the bytes of an unfinished upload, None where there are none."""
        try:
            partial = Partial(self._blobs.partial(upload_id))
        except FileNotFoundError:
            yield None
            return
        except BlockingIOError as error:
            raise ProblemError(
                "upload_locked", "another request is sending to this upload; ask for its offset in a moment"
            ) from error
        try:
            yield partial
        finally:
            partial.close()

    def _hash_of(self, upload: Upload) -> "hashlib._Hash | None":
        position, digest = self._hashes.pop(upload.id, (0, hashlib.sha256()))
        return digest if position == upload.received else None

    def remember(self, upload_id: str, position: int, digest: "hashlib._Hash") -> None:
        """Keep the digest of the first `position` bytes for the request that goes on."""
        self._hashes[upload_id] = (position, digest)
        while len(self._hashes) > _MOST_HASHES:
            self._hashes.popitem(last=False)

    def advance(self, upload: Upload, **values: Any) -> Upload:
        """Note progress, which also puts off the expiry."""
        values["expires_at"] = clock() + self._settings.upload_seconds
        changed = update(uploads).where(is_upload(upload.tenant, upload.id)).values(values).returning(uploads)
        with self._database.write() as connection:
            row = connection.execute(changed).one_or_none()
        if row is None:  # ended in the meantime
            self._blobs.partial(upload.id).unlink(missing_ok=True)
            raise absent(upload.id)
        return upload_of(row)

    def store(self, upload: Upload) -> None:
        """Make a complete upload an artifact; two that do so at once change nothing."""
        assert upload.sha256 is not None
        assert upload.format is not None
        key = self._blobs.artifact(upload.tenant, upload.sha256)
        with suppress(FileNotFoundError):  # it was stored before
            self._blobs.store.keep(self._blobs.partial(upload.id), key)
        if self._blobs.exists(key):
            settled = lambda connection, _new: _settle(connection, upload)  # noqa: E731 - one line says it
            self._admit(upload.tenant, upload.sha256, upload.length, upload.format, settled)
            Artifacts(self._database).call(upload.tenant, upload.sha256, file_name(upload.description))

    def admit(self, tenant: str, sha256: str, size: int, file_format: Format) -> tuple[Artifact, bool]:
        """Note a stored file and have it inspected; the second value is False where the tenant had it already."""

        def hold(connection: Connection, new: bool) -> None:
            if new:
                Quotas(self._settings, self._database).hold_bytes(connection, tenant, size)

        return self._admit(tenant, sha256, size, file_format, hold)

    def _admit(
        self, tenant: str, sha256: str, size: int, file_format: Format, admit: Callable[[Connection, bool], None]
    ) -> tuple[Artifact, bool]:
        artifact, new = Artifacts(self._database).add(tenant, sha256, size, file_format, admit=admit)
        jobs = Jobs(self._database)
        # Also one that was noted and never inspected, because the service was killed.
        if artifact.status == "pending" and not jobs.uses(tenant, sha256):
            inspection = NewJob(tenant, "inspection", {"sha256": sha256}, INSPECTION_QUEUE, sha256, inputs=[sha256])
            jobs.submit(inspection, max_unfinished=self._settings.max_unfinished_jobs)
        return artifact, new

    def terminate(self, tenant: str, upload_id: str) -> None:
        """End an upload and free its bytes. An artifact that it has become stays."""
        upload = self.get(tenant, upload_id)
        with self._held(upload_id):
            self.forget(upload)

    def forget(self, upload: Upload) -> None:
        """Drop an upload that this process holds."""
        self._hashes.pop(upload.id, None)
        self._blobs.partial(upload.id).unlink(missing_ok=True)  # first: a row without a file is found by the sweep
        with self._database.write() as connection:
            connection.execute(delete(uploads).where(is_upload(upload.tenant, upload.id)))

    def sweep(self) -> int:
        """Drop uploads whose time is over, save those that a request is sending to; return how many.

        Any process may do so that sees their bytes, several at once, and be killed at any point.
        """
        count = 0
        for upload in self._expired():
            with suppress(ProblemError), self._held(upload.id) as partial:  # not one that is sent to
                if upload in self._expired(
                    0.0 if partial or self._is_of_here(upload.id) else self._settings.upload_seconds
                ):
                    if upload.sha256 is not None:
                        self.store(upload)
                    self.forget(upload)
                    count += 1
        return count

    def _expired(self, seconds_ago: float = 0.0) -> list[Upload]:
        query = select(uploads).where(uploads.c.expires_at < clock() - seconds_ago).order_by(uploads.c.expires_at)
        with self._database.read() as connection:
            return [upload_of(row) for row in connection.execute(query.limit(1000))]

    def resume(self) -> int:
        """Store what was complete on this host when the service was killed, or the store was away; return how much."""
        count = 0
        for path in self._blobs.uploads.iterdir():
            query = select(uploads).where(uploads.c.id == path.name, uploads.c.sha256.is_not(None))
            with self._database.read() as connection:
                row = connection.execute(query).one_or_none()
            if row is not None:
                with suppress(ProblemError):  # a request is at it
                    self.settle(upload_of(row))
                    count += 1
        return count


def _settle(connection: Connection, upload: Upload) -> None:
    """From now on the bytes count as the artifact's, which held them for the upload."""
    connection.execute(update(uploads).where(is_upload(upload.tenant, upload.id)).values(settled=True))
