"""A tenant's bytes stay below its quota whoever uploads at once, through however many processes."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contract.blobs import Blobs
from contract.database import Database
from contract.quotas import Quotas
from contract.report_history import ReportHistory
from contract.schemas import ProblemError
from contract.settings import Settings
from contract.uploads import Uploads

SIZE = 1000
ROOM_FOR = 5
MANY = 16


@pytest.fixture
def limited(any_settings: Settings) -> Settings:
    quota = ROOM_FOR * SIZE + SIZE // 2
    return any_settings.model_copy(update={"max_tenant_bytes": quota, "free_disk_reserve_bytes": 0})


def at_once(settings: Settings, work: Callable[[Uploads, int], Any]) -> Counter[str]:
    """Do something many times at once, each time with connections of its own, as another process would."""
    barrier = threading.Barrier(MANY)

    def one(number: int) -> str:
        database = Database(settings)
        try:
            uploads = Uploads(settings, database, Blobs(settings.data_dir))
            barrier.wait(60)
            work(uploads, number)
        except ProblemError as error:
            return error.problem.code
        finally:
            database.close()
        return "stored"

    with ThreadPoolExecutor(MANY) as pool:
        return Counter(pool.map(one, range(MANY)))


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_files_that_end_at_once(limited: Settings, any_database: Database) -> None:
    outcome = at_once(limited, lambda uploads, n: uploads.admit("a", digest(n), SIZE, "npz"))
    assert outcome == {"stored": ROOM_FOR, "quota_exceeded": MANY - ROOM_FOR}
    assert Quotas(limited, any_database).bytes_of("a") == ROOM_FOR * SIZE


def test_uploads_and_files_that_begin_and_end_at_once(limited: Settings, any_database: Database) -> None:
    def either(uploads: Uploads, number: int) -> None:
        if number % 2:
            uploads.create("a", SIZE, "", None)
        else:
            uploads.admit("a", digest(number), SIZE, "npz")

    outcome = at_once(limited, either)
    assert outcome == {"stored": ROOM_FOR, "quota_exceeded": MANY - ROOM_FOR}
    assert Quotas(limited, any_database).bytes_of("a") == ROOM_FOR * SIZE


def test_the_same_file_sent_by_many_counts_once(limited: Settings, any_database: Database) -> None:
    assert at_once(limited, lambda uploads, _: uploads.admit("a", digest(0), SIZE, "npz")) == {"stored": MANY}
    assert Quotas(limited, any_database).bytes_of("a") == SIZE


def test_a_refusal_leaves_no_row(limited: Settings, any_database: Database) -> None:
    uploads = Uploads(limited, any_database, Blobs(limited.data_dir))
    with pytest.raises(ProblemError, match="do not fit"):
        uploads.admit("a", digest(0), (ROOM_FOR + 1) * SIZE, "npz")
    with pytest.raises(ProblemError, match="do not fit"):
        uploads.create("a", (ROOM_FOR + 1) * SIZE, "", None)
    assert Quotas(limited, any_database).bytes_of("a") == 0


def test_an_upload_holds_its_bytes_until_its_artifact_does(limited: Settings, any_database: Database) -> None:
    """Between the last byte and the artifact's row nobody else gets the room."""
    blobs, quotas = Blobs(limited.data_dir), Quotas(limited, any_database)
    uploads = Uploads(limited, any_database, blobs)
    content = b"PK\x03\x04" + bytes(SIZE - 4)
    upload = uploads.create("a", SIZE, "", None)
    appending = uploads.append("a", upload.id, 0)
    seen = []
    store = uploads.store

    def watched(done: Any) -> None:
        seen.append(quotas.bytes_of("a"))
        store(done)
        seen.append(quotas.bytes_of("a"))

    uploads.store = watched  # type: ignore[assignment]  # to look at the moment between
    appending.write(content)
    appending.complete(lambda _: "npz", 16)
    appending.close()
    assert seen == [SIZE, SIZE]
    uploads.get("a", upload.id)  # settles again
    assert quotas.bytes_of("a") == SIZE


def test_pushed_reports_count(limited: Settings, any_database: Database) -> None:
    from tests.interlayer.render.sample import sample_report

    quotas, history = Quotas(limited, any_database), ReportHistory(any_database)
    report, size = sample_report(), 2 * SIZE

    def push(number: int) -> str:
        try:
            hold = lambda connection: quotas.hold_bytes(connection, "a", size)  # noqa: E731 - one line says it
            history.add("a", "k", digest(number), size, report, admit=hold)
        except ProblemError as error:
            return error.problem.code
        return "stored"

    assert [push(n) for n in (0, 1, 2, 0)] == ["stored", "stored", "quota_exceeded", "stored"]
    assert quotas.bytes_of("a") == 2 * size
