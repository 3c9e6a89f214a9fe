"""How to take away the guards of files and rows: writing, expiry, backups and transactions."""

import os
import time
from pathlib import Path


def rename() -> None:
    from contract import stores

    def write_in_place(self: stores.Folder, path: Path, key: str) -> None:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        with target.open("wb") as file:
            for start in range(0, len(content), max(1, len(content) // 8)):
                file.write(content[start : start + max(1, len(content) // 8)])
                file.flush()
                time.sleep(0.02)

    stores.Folder.keep = write_in_place  # type: ignore[method-assign]  # the point


def commit_of_uploads() -> None:
    from contract.appending import Appending

    def commit(self: Appending) -> None:
        """Write nothing down."""

    Appending.commit = commit  # type: ignore[method-assign]  # the point


def pinned_inputs() -> None:
    from contract.retention import Retention
    from contract.tables import artifacts

    def expire(self: Retention) -> int:
        key, seconds = (artifacts.c.tenant, artifacts.c.sha256), self._settings.artifact_seconds
        return self._expire(artifacts, artifacts.c.created_at, seconds, key, artifacts.c.bytes > 0, prefix="sha256:")

    Retention._expire_artifacts = expire  # type: ignore[method-assign]  # the point


def clock_of_the_database() -> None:
    from sqlalchemy import literal

    from contract import retention

    vars(retention)["clock"] = lambda: literal(time.time())


def age_of_garbage() -> None:
    from contract.database import Database

    def now(self: Database) -> float:
        """Tell the time of this process."""
        return time.time()

    Database.now = now  # type: ignore[method-assign]  # the point


def transaction_limit() -> None:
    os.environ["INTERLAYER_TRANSACTION_SECONDS"] = "1e6"


def database_first() -> None:
    from contract import backup

    copy_files, copy_database = backup._copy_files, backup._copy_database

    def files_first(source: Path, target: Path) -> None:
        from contract.blobs import Blobs
        from contract.database import Database
        from contract.settings import Settings

        live = Settings(data_dir=source.parent)
        copy_files(Blobs.open(live), target.parent, Database(live))
        copy_database(source, target)

    backup._copy_database = files_first
    backup._copy_files = lambda *_: None
