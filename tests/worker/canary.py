"""What hostile code would try, run inside the fence. Each returns what it got hold of; nothing is the right answer."""

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Show = Callable[[int, int], None]


def _errors(*tries: Callable[[], Any]) -> list[str]:
    """Return what was not refused."""
    got = []
    for number, attempt in enumerate(tries):
        try:
            got.append(f"{number}: {attempt()!r}"[:200])
        except OSError:
            pass
    return got


def works(payload: dict[str, Any], show: Show) -> dict[str, Any]:
    show(1, 2)
    Path("note").write_text("written")
    return {"said": payload["say"], "environment": sorted(os.environ), "read": Path(payload["named"]).read_text()}


def write_elsewhere(payload: dict[str, Any], _show: Show) -> list[str]:
    folder, named = Path(payload["folder"]), Path(payload["named"])
    return _errors(
        lambda: (folder / "new").write_text("x"),
        lambda: named.write_text("x"),
        lambda: os.truncate(named, 0),
        named.unlink,
        lambda: named.rename(folder / "moved"),
        lambda: named.chmod(0),
        lambda: os.utime(named, (0, 0)),
        lambda: os.link(named, "hard"),
        lambda: Path("/tmp/canary").write_text("x"),
        lambda: Path("/dev/shm/canary").write_text("x"),
    )


def read_what_is_hidden(payload: dict[str, Any], _show: Show) -> list[str]:
    secret = Path(payload["secret"])
    Path("symbolic").symlink_to(secret)
    return _errors(
        secret.read_bytes,
        lambda: list(secret.parent.iterdir()),
        lambda: Path("symbolic").read_bytes(),
        (Path("..") / ".." / secret.name).read_bytes,
        lambda: Path("/etc/shadow").read_bytes(),
        lambda: list(Path("/root").iterdir()),
    )


def read_the_parent(_payload: dict[str, Any], _show: Show) -> list[str]:
    parent = os.getppid()
    return _errors(
        lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        lambda: Path(f"/proc/{parent}/cmdline").read_bytes(),
        lambda: Path(f"/proc/{parent}/mem").open("rb"),
        lambda: list(Path("/proc").iterdir()),
    )


def open_sockets(payload: dict[str, Any], _show: Show) -> list[str]:
    def connect(family: int, address: Any) -> str:
        with socket.socket(family, socket.SOCK_STREAM) as made:
            made.settimeout(5)
            made.connect(address)
        return "connected"

    return _errors(
        lambda: connect(socket.AF_INET, ("127.0.0.1", payload["port"])),
        lambda: connect(socket.AF_UNIX, payload["unix"]),
        lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
        socket.socketpair,
        lambda: _raw(425, 8, 0),  # io_uring, which could make sockets without that call
    )


def start_processes(_payload: dict[str, Any], _show: Show) -> list[str]:
    return _errors(os.fork, lambda: os.execv("/bin/true", ["true"]), lambda: os.posix_spawn("/bin/true", ["true"], {}))


def reach_processes(_payload: dict[str, Any], _show: Show) -> list[str]:
    parent = os.getppid()
    return _errors(
        lambda: os.kill(parent, 9),
        lambda: os.kill(-1, 9),
        lambda: os.kill(0, 9),
        lambda: os.pidfd_open(parent),
        lambda: _raw(101, 16, parent) if os.uname().machine == "x86_64" else _raw(117, 16, parent),  # ptrace
        lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
    )


def become_more(_payload: dict[str, Any], _show: Show) -> list[str]:
    return _errors(
        lambda: os.setgroups([0]),
        lambda: os.chroot("."),
        lambda: _raw(272 if os.uname().machine == "x86_64" else 97, 0x10000000),  # another namespace
        lambda: os.sethostname("canary") if hasattr(os, "sethostname") else socket.sethostname("canary"),
    )


def _raw(number: int, *arguments: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return f"call {number} returned {result}"


def eat_memory(_payload: dict[str, Any], _show: Show) -> int:
    eaten = []
    while True:
        eaten.append(bytearray(2**26))


def start_threads(_payload: dict[str, Any], _show: Show) -> str:
    try:
        for _ in range(20_000):
            threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
    except RuntimeError:
        return "contained"
    return "as many as it likes"


def fill_the_disk(_payload: dict[str, Any], _show: Show) -> str:
    import resource

    try:
        with Path("large").open("wb") as file:
            file.truncate(resource.getrlimit(resource.RLIMIT_FSIZE)[0] + 1)
    except OSError:
        return "contained"
    return "written"


def loop(_payload: dict[str, Any], _show: Show) -> None:
    while True:
        pass


def crash(_payload: dict[str, Any], _show: Show) -> None:
    ctypes.string_at(0)


def lie(_payload: dict[str, Any], _show: Show) -> None:
    for descriptor in range(3, 20):  # one of them is the pipe to the parent
        try:
            os.write(descriptor, b'{"result": NaN]\n')
        except OSError:
            pass
