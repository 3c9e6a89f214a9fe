"""The fence around a process, put up from inside, before it sees the first foreign byte.

Only the standard library may be loaded until then: a namespace cannot be left by a process with threads.
"""

import contextlib
import ctypes
import importlib.machinery
import os
import resource
import signal
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from worker.sandbox.landlock import restrict_files
from worker.sandbox.seccomp import refuse_calls

_NEW_NAMESPACES = 0x10000000 | 0x40000000 | 0x08000000  # user, network, System V and POSIX queues
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522
# What numerical libraries read at start. Of /proc, a process sees itself and the machine.
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system", "/sys/fs/cgroup",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/sys/vm",
    "/proc/driver/nvidia",
)  # fmt: skip
_MODULES = tuple(importlib.machinery.all_suffixes())
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


@dataclass(frozen=True)
class Limits:
    """What a confined process may use; `memory_bytes` is address space, which CUDA reserves without using it."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    threads: int = 1024
    descriptors: int = 512


def confine(limits: Limits, readable: list[Path], scratch: Path, hidden: Path, *, gpu: bool) -> list[str]:
    """Confine this process for good; return what this machine could not do.

    `scratch` alone may be written. `hidden` is never readable, though a folder of Python modules may contain it.
    """
    _end_with_parent()
    libc = ctypes.CDLL(None, use_errno=True)
    own_network = libc.unshare(_NEW_NAMESPACES) == 0
    _limit(limits, gpu=gpu)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _drop_capabilities(libc)
    system = [Path(path) for path in (*_SYSTEM, sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())]
    devices = [Path(path) for path in _DEVICES] + (list(Path("/dev").glob("nvidia*")) if gpu else [])
    files = restrict_files([*system, *_module_folders(hidden), *readable], [scratch], devices)
    calls = refuse_calls()
    missing = []
    if not files:
        missing.append("the kernel has no Landlock, so files of this user can be reached")
    if not calls:
        missing.append("there is no seccomp filter, so processes can be started")
    if not (calls or own_network):
        missing.append("there is neither a namespace nor a filter against the network")
    return missing


def _end_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we could ask for the signal
        os._exit(1)


def _limit(limits: Limits, *, gpu: bool) -> None:
    bounds = {
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NPROC: limits.threads,
        resource.RLIMIT_NOFILE: limits.descriptors,
        resource.RLIMIT_CORE: 0,
    }
    bounds[resource.RLIMIT_DATA if gpu else resource.RLIMIT_AS] = limits.memory_bytes
    for which, bound in bounds.items():
        _, most = resource.getrlimit(which)
        bound = bound if most == resource.RLIM_INFINITY else min(bound, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (bound, bound))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())


def _module_folders(hidden: Path) -> list[Path]:
    """Return where modules come from; of a folder that contains `hidden`, its modules and packages alone."""
    own, hidden = Path(__file__).resolve().parents[2], hidden.resolve()
    found = [own / room for room in ("contract", "worker")]
    for folder in dict.fromkeys(Path(entry).resolve() for entry in sys.path):
        if folder == Path("/") or not folder.is_dir():
            continue
        if not hidden.is_relative_to(folder):
            found.append(folder)
            continue
        found += [
            path
            for path in folder.iterdir()
            if (path.name.endswith(_MODULES) and path.is_file())
            or ((path / "__init__.py").is_file() and not hidden.is_relative_to(path.resolve()))
        ]
    return found
