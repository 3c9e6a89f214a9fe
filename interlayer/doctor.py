"""What `interlayer doctor` looks at, on this machine and at a service. Every check is one line."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from contract.settings import Settings

_ROOMY_BYTES = 5 * 2**30
_PARTS = {"core": "numba", "service": "fastapi", "worker": "celery", "models": "torch"}


@dataclass(frozen=True)
class Check:
    """One finding. `warn`: something does not work as well as it could; `fail`: something does not work."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str


def settings_of(data: Path | None) -> "Settings":
    """Return the settings of the environment, for another data directory if one is given."""
    from contract.settings import Settings

    return Settings() if data is None else Settings(data_dir=data)


def examine(data: Path | None, server: str | None, key: str | None) -> list[Check]:
    """Look at everything. Nothing here raises, waits long, or changes anything."""
    looks: list[Callable[[], Check]] = [_python, _packages, _processor, _compiled, _gpu]
    if find_spec("sqlalchemy") is not None:
        settings = settings_of(data)
        looks += [lambda: _disk(settings), lambda: _store(settings)]
        looks += [lambda: _database(settings), lambda: _uploads(settings), lambda: _broker(settings)]
    checks = [_guarded(look) for look in looks]
    return checks + list(_service(server, key))


def _guarded(look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # a check that breaks has found something
        name = getattr(look, "__name__", "check").strip("_<>")
        return Check(name, "fail", f"{type(error).__name__}: {str(error)[:300]}")


def _python() -> Check:
    known = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check("python", "ok" if known else "fail", f"{platform.python_version()} (3.11 to 3.13 are supported)")


def _packages() -> Check:
    try:
        own = version("interlayer")
    except PackageNotFoundError:
        own = "from a folder"
    there = [part for part, module in _PARTS.items() if find_spec(module) is not None]
    missing = [part for part in _PARTS if part not in there]
    more = f'; not installed: {", ".join(missing)} (pip install "interlayer[{",".join(missing)}]")' if missing else ""
    return Check("packages", "ok", f"interlayer {own} with {', '.join(there) or 'the client alone'}{more}")


def _processor() -> Check:
    flags: set[str] = set()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith(("flags", "Features")):
            flags = set(line.partition(":")[2].split())
            break
    fast = next((name for name in ("avx512f", "avx2", "asimd", "avx") if name in flags), None)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    detail = f"{platform.machine()}, {count} usable, {fast or 'no known vector instructions'}"
    return Check("processor", "ok" if fast else "warn", detail)


def _compiled() -> Check:
    if find_spec("numba") is None:
        return Check("kernels", "ok", "not installed here; a service computes")
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parents[1] / "hpcore")
    writable = os.access(next(path for path in (folder, *folder.parents) if path.exists()), os.W_OK)
    found = any(folder.rglob("*.nbi")) if folder.exists() else False
    if not writable:
        return Check("kernels", "warn", f"{folder} cannot be written; set NUMBA_CACHE_DIR, or every start compiles")
    return Check("kernels", "ok", f"{'compiled' if found else 'not compiled yet: `interlayer warmup`'}, in {folder}")


def _gpu() -> Check:
    if find_spec("torch") is None:
        return Check("gpu", "ok", "torch is not installed; the processor computes")
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", "ok", "none; the processor computes")
    free, total = torch.cuda.mem_get_info()
    return Check("gpu", "ok", f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")


def _disk(settings: "Settings") -> Check:
    folder = next(path for path in (settings.data_dir, *settings.data_dir.resolve().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{settings.data_dir}: {free / 2**30:.1f} GiB free"
    if not os.access(folder, os.W_OK):
        return Check("disk", "fail", f"{settings.data_dir} cannot be written by this user")
    if free < settings.free_disk_reserve_bytes:
        return Check("disk", "fail", f"{detail}, less than the reserve: uploads are refused")
    return Check("disk", "ok" if free > _ROOMY_BYTES else "warn", detail)


def _store(settings: "Settings") -> Check:
    if settings.blobs_url is None:
        return Check("store", "ok", "the data directory; several hosts must share it")
    if find_spec("obstore") is None:
        return Check("store", "fail", f'{settings.blobs_url} needs the extra s3: pip install "interlayer[s3]"')
    from contract.s3 import Bucket

    trouble = Bucket(settings.blobs_url).trouble()
    return Check("store", "ok" if trouble is None else "fail", f"{settings.blobs_url}: {trouble or 'answers'}")


def _database(settings: "Settings") -> Check:
    from contract.counters import SEEN_SECONDS, Processes
    from contract.database import Database

    file = settings.data_dir / "interlayer.sqlite3"
    if settings.database_url is None and not file.exists():
        return Check("database", "ok", f"none yet in {settings.data_dir}; the first start makes it")
    database = Database(settings)
    try:
        kind = database.engine.dialect.name
        with database.read() as connection:
            if kind == "sqlite" and (answer := connection.exec_driver_sql("PRAGMA quick_check").scalar_one()) != "ok":
                return Check("database", "fail", f"SQLite is damaged: {answer}; restore a backup")
        seen = [process for process in Processes(database).all() if process.age < SEEN_SECONDS]
    finally:
        database.close()
    shown = ", ".join(f"{process.role} {process.name}" for process in seen) or "no worker was seen lately"
    return Check("database", "ok" if seen else "warn", f"{kind}; {shown}")


def _uploads(settings: "Settings") -> Check:
    """Look for unfinished uploads whose bytes are on another host; only a service has a folder of them."""
    if settings.blobs_url is None:
        return Check("uploads", "ok", "unfinished ones lie in the data directory, with all other files")
    if not (settings.data_dir / "spool").exists():
        return Check("uploads", "ok", f"no service has begun one in {settings.data_dir}")
    from contract.blobs import Blobs
    from contract.database import Database
    from contract.uploads import Uploads

    database = Database(settings)
    try:
        elsewhere = Uploads(settings, database, Blobs.open(settings)).elsewhere()
    finally:
        database.close()
    if elsewhere:
        detail = (
            f"{elsewhere} unfinished ones lie on other hosts: put {settings.data_dir} of all services on one volume"
        )
        return Check("uploads", "warn", detail)
    return Check("uploads", "ok", "every unfinished one lies in the data directory")


def _broker(settings: "Settings") -> Check:
    if settings.broker_url is None:
        return Check("broker", "ok", "none is set; workers poll the database")
    import redis

    client = redis.Redis.from_url(settings.broker_url.get_secret_value(), socket_connect_timeout=2, socket_timeout=2)
    try:
        client.ping()
    except redis.RedisError as error:
        return Check("broker", "fail", f"does not answer: {type(error).__name__}")
    finally:
        client.close()
    return Check("broker", "ok", "answers")


def _service(server: str | None, key: str | None) -> Iterator[Check]:
    """Ask the service that the client would talk to, if one is named."""
    import httpx

    url = server or os.environ.get("INTERLAYER_SERVER")
    token = key or os.environ.get("INTERLAYER_KEY")
    if url is None:
        yield Check("service", "ok", "none is named (INTERLAYER_SERVER)")
        return
    shown = urlsplit(url).netloc.rpartition("@")[2] or url
    try:
        ready = httpx.get(f"{url.rstrip('/')}/readyz", timeout=5.0)
        found = ready.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        yield Check("service", "fail", f"{shown} does not answer: {type(error).__name__}")
        return
    status = found.get("status") if ready.status_code == 200 else found.get("detail", f"HTTP {ready.status_code}")
    details = "; ".join(found.get("details", []))
    grade: Literal["ok", "warn", "fail"] = "fail" if ready.status_code != 200 else "warn" if details else "ok"
    yield Check("service", grade, f"{shown} is {status}{': ' if details else ''}{details}")
    if token is None:
        yield Check("key", "warn", "none is given (INTERLAYER_KEY)")
        return
    answer = httpx.get(f"{url.rstrip('/')}/v1/capabilities", headers={"Authorization": f"Bearer {token}"}, timeout=5.0)
    valid = answer.status_code == 200
    yield Check("key", "ok" if valid else "fail", "is valid" if valid else f"is refused with {answer.status_code}")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
