"""Jobs that are done when a test says so: no waiting for a polling worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Claim, Jobs, NewJob
from contract.queue import INSPECTION_QUEUE
from contract.schemas import Analysis, AnalysisRequest
from contract.settings import Settings
from tests.worker import files
from worker.runner import Runner

TENANT = "a"
SHA = "ab" * 32
QUEUES = ("cpu", "gpu", INSPECTION_QUEUE)


def next_claim(settings: Settings, database: Database) -> Claim | None:
    """Claim whatever waits."""
    return Jobs(database).claim("test", settings.lease_seconds, queues=QUEUES)


@contextmanager
def runner_of(settings: Settings, database: Database) -> Iterator[Runner]:
    """A runner whose computing process ends with the block."""
    runner = Runner(settings, database)
    try:
        yield runner
    finally:
        runner.close()


def work_off(settings: Settings, database: Database) -> int:
    """Run every waiting job to its end and return how many there were."""
    count = 0
    with runner_of(settings, database) as runner:
        while (claim := next_claim(settings, database)) is not None:
            runner.run(claim)
            count += 1
    return count


def submitted(store: Jobs, sha256: str = SHA, **options: Any) -> str:
    """Submit an analysis of a stored file and return its id."""
    options.setdefault("tests", {"n_resamples": 99})
    request = AnalysisRequest.model_validate({"inputs": [{"artifact": f"sha256:{sha256}"}], **options})
    job = NewJob(TENANT, "analysis", request.model_dump(mode="json"), "cpu", "f", inputs=[sha256])
    return store.submit(job, max_unfinished=10)[0].id


def stored_file(settings: Settings, content: bytes, sha256: str = SHA) -> None:
    """Lay a file down as an upload would."""
    path = settings.data_dir / Blobs(settings.data_dir).artifact(TENANT, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def good_file() -> bytes:
    """A small study."""
    return files.archive({f"{n}.npy": files.npy(a) for n, a in files.study_arrays(n_per_class=8).items()})


def claimed(settings: Settings, database: Database) -> Claim:
    """Claim what must be waiting."""
    claim = next_claim(settings, database)
    assert claim is not None
    return claim


def seen(store: Jobs, job_id: str) -> Analysis:
    """Return an analysis as its tenant sees it."""
    analysis = store.get(TENANT, job_id)
    assert analysis is not None
    return analysis
