"""One copy a host: fetched once, whole, held while it is used, deleted when room is needed."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract.stores import Folder, StoreUnavailable
from tests.e2e.processes import until
from worker.cache import Cache, DamagedFile
from worker.patience import GivenUp, Patience


class Counting(Folder):
    """A store that counts how often it was read, and fails as told."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.reads: list[int] = []
        self.errors: list[Exception] = []
        self.altered = 0

    def blocks(self, key: str, start: int = 0) -> Iterator[bytes]:
        self.reads.append(start)
        for number, block in enumerate(super().blocks(key, start)):
            if number == 1 and self.errors:
                raise self.errors.pop()
            yield block if not self.altered else bytes(len(block))
        self.altered = max(0, self.altered - 1)

    def add(self, size: int, tenant: str = "a") -> str:
        content = os.urandom(size)
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"artifacts/{tenant}/{sha256[:2]}/{sha256}"
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).write_bytes(content)
        return key


SIZE = 3 * 2**20


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "store")


@pytest.fixture
def cache(tmp_path: Path, store: Counting) -> Cache:
    return Cache(tmp_path / "cache", 3 * SIZE, store)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    monkeypatch.setattr("worker.patience._PAUSE_SECONDS", 0.0)
    return Patience("fetching files")


def names(cache: Cache) -> set[str]:
    return {path.name for path in cache._folder.rglob("*") if path.is_file()}


def use(cache: Cache, key: str, patience: Patience) -> bytes:
    with cache.hold(key, SIZE, patience) as path:
        return path.read_bytes()


def test_a_file_is_fetched_once(cache: Cache, store: Counting, patience: Patience) -> None:
    key = store.add(SIZE)
    for _ in range(3):
        assert use(cache, key, patience) == (store.root / key).read_bytes()
    assert store.reads == [0]
    assert names(cache) == {key.rpartition("/")[2]}


def test_many_at_once_fetch_it_once(cache: Cache, store: Counting, patience: Patience) -> None:
    key = store.add(SIZE)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: hashlib.sha256(use(cache, key, patience)).hexdigest(), range(16)))
    assert found == {key.rpartition("/")[2]}
    assert store.reads == [0]


def test_two_tenants_have_copies_of_their_own(cache: Cache, store: Counting, patience: Patience) -> None:
    key = store.add(SIZE)
    use(cache, key, patience)
    other = key.replace("/a/", "/b/")
    with pytest.raises(FileNotFoundError):
        use(cache, other, patience)
    assert names(cache) == {key.rpartition("/")[2]}


def test_the_longest_unused_makes_room(cache: Cache, store: Counting, patience: Patience) -> None:
    first, second, third, fourth = (store.add(SIZE) for _ in range(4))
    for key in (first, second, third, first, fourth):
        use(cache, key, patience)
    assert names(cache) == {key.rpartition("/")[2] for key in (first, third, fourth)}


def test_what_is_in_use_stays_even_beyond_the_limit(cache: Cache, store: Counting, patience: Patience) -> None:
    keys = [store.add(SIZE) for _ in range(5)]
    with cache.hold(keys[0], SIZE, patience) as path:
        for key in keys[1:]:
            use(cache, key, patience)
        assert path.read_bytes() == (store.root / keys[0]).read_bytes()
        assert len(names(cache)) == 3
    small = Cache(cache._folder, SIZE // 2, store)
    assert use(small, keys[1], patience) == (store.root / keys[1]).read_bytes(), "a file larger than the limit"
    assert names(cache) == {keys[1].rpartition("/")[2]}


@pytest.mark.parametrize("damage", ["shorter", "changed", "longer"])
def test_a_copy_that_has_changed_is_fetched_again(
    cache: Cache, store: Counting, patience: Patience, damage: str
) -> None:
    key = store.add(SIZE)
    with cache.hold(key, SIZE, patience) as path:
        path.chmod(0o600)
        with path.open("r+b") as file:
            if damage == "shorter":
                file.truncate(SIZE - 1)
            else:
                file.seek(5 if damage == "changed" else SIZE)
                file.write(b"x")
    assert use(cache, key, patience) == (store.root / key).read_bytes()
    assert store.reads == [0, 0]


def test_other_bytes_than_were_stored_are_fetched_again_and_then_refused(
    cache: Cache, store: Counting, patience: Patience
) -> None:
    key = store.add(SIZE)
    store.altered = 2
    assert use(cache, key, patience) == (store.root / key).read_bytes()
    assert store.reads == [0, 0, 0]
    cache.forget(lambda _tenant, _sha256: False)
    store.altered = 100
    with pytest.raises(DamagedFile):
        use(cache, key, patience)
    assert names(cache) == set()


def test_a_store_that_goes_away_is_waited_for_and_what_came_is_kept(
    cache: Cache, store: Counting, patience: Patience
) -> None:
    key = store.add(SIZE)
    store.errors = [StoreUnavailable("away"), StoreUnavailable("away")]
    assert use(cache, key, patience) == (store.root / key).read_bytes()
    assert store.reads == [0, 2**20, 2 * 2**20]
    assert patience.stage == "waiting for the store of files"


def test_a_full_disk_is_waited_for_after_all_that_is_not_in_use_was_deleted(
    cache: Cache, store: Counting, patience: Patience
) -> None:
    old, key = store.add(SIZE), store.add(SIZE)
    use(cache, old, patience)
    store.errors = [OSError(errno.ENOSPC, "No space left on device")]
    assert use(cache, key, patience) == (store.root / key).read_bytes()
    assert names(cache) == {key.rpartition("/")[2]}
    assert patience.stage == "waiting for disk space"


def test_who_gives_up_leaves_nothing(cache: Cache, store: Counting, patience: Patience) -> None:
    key = store.add(SIZE)
    patience.give_up()
    with pytest.raises(GivenUp):
        use(cache, key, patience)
    assert names(cache) == set()


def test_who_waits_for_another_worker_can_give_up(cache: Cache, store: Counting, patience: Patience) -> None:
    key = store.add(SIZE)
    fetching, go_on = threading.Event(), threading.Event()

    class Slow(Counting):
        def blocks(self, key: str, start: int = 0) -> Iterator[bytes]:
            fetching.set()
            go_on.wait(60)
            return super().blocks(key, start)

    slow = Cache(cache._folder, 3 * SIZE, Slow(store.root))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(use, slow, key, Patience("fetching files"))
        assert fetching.wait(60)
        second = threads.submit(use, cache, key, patience)
        patience.give_up()
        with pytest.raises(GivenUp):
            second.result(60)
        go_on.set()
        assert first.result(60) == (store.root / key).read_bytes()
    assert store.reads == []


def test_what_was_deleted_everywhere_is_deleted_here(cache: Cache, store: Counting, patience: Patience) -> None:
    mine, theirs = store.add(SIZE), store.add(SIZE, "b")
    used = store.add(SIZE, "b")
    use(cache, mine, patience)
    use(cache, theirs, patience)
    with cache.hold(used, SIZE, patience):
        assert cache.forget(lambda tenant, _sha256: tenant == "a") == 1
    assert names(cache) == {key.rpartition("/")[2] for key in (mine, used)}


_FETCH = """
    import sys, time
    from pathlib import Path
    from contract.stores import Folder
    from worker.cache import Cache
    from worker.patience import Patience

    class Slow(Folder):
        def blocks(self, key, start=0):
            for block in super().blocks(key, start):
                yield block
                print("block", flush=True)
                time.sleep(float(sys.argv[4]))

    cache = Cache(Path(sys.argv[1]), 10**9, Slow(Path(sys.argv[2])))
    with cache.hold(sys.argv[3], int(sys.argv[5]), Patience("")) as path:
        print("held", flush=True)
        time.sleep(600)
"""


def process(cache: Cache, store: Counting, key: str, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(_FETCH), str(cache._folder), str(store.root), key, str(pause)]
    return subprocess.Popen([*command, str(SIZE)], stdout=subprocess.PIPE, text=True)


def test_a_worker_that_is_killed_while_it_fetches_is_no_obstacle(
    cache: Cache, store: Counting, patience: Patience
) -> None:
    key = store.add(SIZE)
    with process(cache, store, key, 600) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "block\n"
        worker.send_signal(signal.SIGKILL)
    assert names(cache) == {key.rpartition("/")[2] + ".part"}, "it was in the middle"
    assert use(cache, key, patience) == (store.root / key).read_bytes()
    assert names(cache) == {key.rpartition("/")[2]}


def test_a_file_that_another_process_uses_is_not_deleted_until_that_dies(
    cache: Cache, store: Counting, patience: Patience
) -> None:
    key = store.add(SIZE)
    with process(cache, store, key, 0) as worker:
        assert worker.stdout is not None
        try:
            while worker.stdout.readline() != "held\n":
                pass
            assert cache.forget(lambda *_: False) == 0
        finally:
            worker.kill()
    until(lambda: cache.forget(lambda *_: False) == 1, "the lock of the dead to go")
    assert names(cache) == set()
