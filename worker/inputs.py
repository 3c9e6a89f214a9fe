"""The files of a job, where the computing process can open them."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from contract.artifacts import ID_PREFIX, Artifacts
from contract.blobs import Blobs
from contract.database import Database
from contract.schemas import ProblemError
from contract.settings import Settings
from contract.stores import StoreUnavailable
from worker.cache import Cache, DamagedFile
from worker.messages import NeededResult
from worker.patience import Patience


def cache_of(settings: Settings, blobs: Blobs) -> Cache:
    """Return the cache that all workers with this data directory share."""
    return Cache(settings.data_dir / "cache", settings.cache_bytes, blobs.store)


class Inputs:
    """Artifacts of the shared folder, opened in place, or of the store, fetched into this host's cache."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._artifacts, self._blobs = Artifacts(database), blobs
        self._cache = cache_of(settings, blobs)

    def in_place(self, tenant: str, ids: list[str]) -> dict[str, str] | None:
        """Return where artifacts lie; None where they must be fetched."""
        paths = {each: self._blobs.store.path(self._key(tenant, each)) for each in ids}
        return {each: str(path) for each, path in paths.items()} if None not in paths.values() else None

    def fetched(self, tenant: str, ids: list[str], patience: Patience) -> tuple[dict[str, str], ExitStack]:
        """Return where artifacts lie in the cache, and what lets go of them.

        Raises
        ------
        ProblemError
            One is not in the store any more, or is not what it was.
        GivenUp
        """
        with ExitStack() as stack:
            found = {each: str(stack.enter_context(self._held(tenant, each, patience))) for each in ids}
            patience.require()
            return found, stack.pop_all()

    @contextmanager
    def _held(self, tenant: str, artifact_id: str, patience: Patience) -> Iterator[str]:
        known = self._artifacts.get(tenant, artifact_id.removeprefix(ID_PREFIX))
        # Our fault and not the file's: sent again, it is whole again.
        if known is None:
            raise ProblemError("internal_error", f"{artifact_id} was deleted; upload it again")
        stack = ExitStack()
        try:
            path = stack.enter_context(self._cache.hold(self._key(tenant, artifact_id), known.bytes, patience))
        except FileNotFoundError as error:
            raise ProblemError("internal_error", f"the store has lost {artifact_id}; upload it again") from error
        except DamagedFile as error:
            raise ProblemError("internal_error", f"the store has damaged {artifact_id}; upload it again") from error
        with stack:
            yield str(path)

    def _key(self, tenant: str, artifact_id: str) -> str:
        return self._blobs.artifact(tenant, artifact_id.removeprefix(ID_PREFIX))


class Results:
    """Results of parts, opened in place, or fetched from the store for as long as they are read."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def fetched(self, results: Mapping[int, str], patience: Patience) -> tuple[list[NeededResult], ExitStack]:
        """Return where results (number of the part → digest) lie, and what deletes the copies.

        Whether one is there, and whole, is seen by who reads it. Raises `GivenUp`.
        """
        with ExitStack() as stack:
            found = [self._fetched(sha256, patience, stack) for _, sha256 in sorted(results.items())]
            return found, stack.pop_all()

    def _fetched(self, sha256: str, patience: Patience, stack: ExitStack) -> NeededResult:
        key = self._blobs.part(sha256)
        path = self._blobs.store.path(key)
        while path is None:
            patience.require()
            try:
                content = self._blobs.read(key)
            except StoreUnavailable as error:
                patience.trouble("waiting for the store of files", error)
            except FileNotFoundError as error:
                raise ProblemError("internal_error", "the store has lost the result of a part; try again") from error
            else:
                path = self._blobs.temporary / secrets.token_hex(16)
                stack.callback(path.unlink, missing_ok=True)
                path.write_bytes(content)
        return NeededResult(path=str(path), sha256=sha256)
