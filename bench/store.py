"""What a store costs. Run: `python -m bench.store`, with the extra `dev`, which has the S3 server.

Floors: a file system's own write, fsync and rename; a bare client of the store; the analysis itself.
"""

import hashlib
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import obstore

from contract.blobs import Blobs
from contract.s3 import Bucket
from contract.schemas import AnalysisRequest
from tests.seaweed import Seaweed, new_url, variables
from worker.analysis import analyze
from worker.cache import Cache
from worker.measuring import Resources
from worker.patience import Patience

_REPORT = os.urandom(200_000)
_ROUNDS = 5


def seconds(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Return the median time of some rounds."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def bare_report(folder: Path) -> None:
    """Write a file durably as a program without any of our layers does."""
    path = folder / secrets.token_hex(16)
    digest = hashlib.sha256(_REPORT).hexdigest()
    with path.open("xb", buffering=0) as file:
        file.write(_REPORT)
        os.fsync(file.fileno())
    path.replace(folder / digest)
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def activations(path: Path) -> int:
    """Write a study of ten classes, 200 rows each, and twelve layers of 2,048 units; return its bytes."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 200)
    arrays = {f"{n}.Layer": generator.normal(labels[:, None] / 9, 1, (2000, 2048)).astype("f4") for n in range(12)}
    np.savez(path, allow_pickle=False, **arrays, labels=labels)
    return path.stat().st_size


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "weed").mkdir()
        server = Seaweed(folder / "weed")
        try:
            with variables(server.environment()):
                _measure(folder, new_url())
        finally:
            server.stop()


def _measure(folder: Path, url: str) -> None:
    rows: list[tuple[str, float, str, float]] = []
    (folder / "bare").mkdir()
    in_folder, bucket = Blobs(folder / "data"), Bucket(url)
    in_bucket = Blobs(folder / "spool", bucket)
    bare = seconds(lambda: bare_report(folder / "bare"), 101)
    rows.append(("report into a folder", seconds(lambda: in_folder.put_report(_REPORT), 101), "bare write", bare))
    client = bucket._writing
    bare = seconds(lambda: obstore.put(client, "bare", _REPORT), 21)
    rows.append(("report into a bucket", seconds(lambda: in_bucket.put_report(_REPORT), 21), "bare put", bare))
    study = folder / "study.npz"
    size = activations(study)
    with study.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    key = in_bucket.artifact("a", sha256)

    def keep() -> None:
        copy = folder / "copy"
        os.link(study, copy)
        bucket.keep(copy, key)

    bare = seconds(lambda: obstore.put(client, "bare", study, chunk_size=8 * 2**20, max_concurrency=4), 3)
    rows.append((f"{size / 2**20:.0f} MiB into a bucket", seconds(keep, 3), "bare put", bare))

    def fetch() -> None:
        cache = Cache(folder / "cache" / secrets.token_hex(4), 2**40, bucket)
        with cache.hold(key, size, Patience("")):
            pass

    def bare_get() -> None:
        with (folder / "bare get").open("wb") as file:
            for block in obstore.get(client, key).stream():
                file.write(block)
            os.fsync(file.fileno())

    fetching = seconds(fetch, 3)
    rows.append(("the same into the cache", fetching, "bare get and fsync", seconds(bare_get, 3)))
    warm = Cache(folder / "warm", 2**40, bucket)
    with warm.hold(key, size, Patience("")) as path:
        request = AnalysisRequest.model_validate({"inputs": [{"artifact": f"sha256:{sha256}"}]})
        computing = seconds(
            lambda: analyze(request, {f"sha256:{sha256}": path}, Resources(n_threads=2), on_progress=lambda *_: None), 1
        )

    def again() -> None:
        with warm.hold(key, size, Patience("")):
            pass

    rows.append(("the same from the cache", seconds(again, 101), "fetching it", fetching))
    rows.append(("fetching it", fetching, "analysing it on 2 threads", computing))
    print("| what | s | floor | s | ratio |\n|---|---|---|---|---|")
    for what, ours, floor, floors in rows:
        print(f"| {what} | {ours:.4g} | {floor} | {floors:.4g} | {ours / floors:.3g} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
