"""What a computing process may take of the machine, and who is killed first when memory runs out."""

import contextlib
import resource
from pathlib import Path

# The kernel picks the process with the highest number: the computation, long before its parent, and the service last.
COMPUTING, BABYSITTING = 1000, 500
_SHARE = 0.9
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def die_at_oom(score: int) -> None:
    """Tell the kernel how readily this process is killed when the machine runs out of memory."""
    with contextlib.suppress(OSError):  # not Linux, or a container that forbids it
        Path("/proc/self/oom_score_adj").write_text(str(score))


def limit_memory(n_bytes: int) -> None:
    """Have allocations beyond `n_bytes` raise MemoryError in this process; 0: beyond what the machine has.

    The limit is on writable private memory. A mapped input file and the address space that CUDA reserves are free.
    """
    limit = job_memory(n_bytes)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def job_memory(n_bytes: int) -> int:
    """Return what one job may allocate: `n_bytes`, or for 0 nearly all that the machine has."""
    return n_bytes or int(_SHARE * machine_memory())


def machine_memory() -> int:
    """Return the bytes of memory of the machine, or of the container where that has less."""
    found = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")]
    found += [int(line) for path in _CGROUP_LIMITS for line in _lines(path) if line.strip().isdecimal()]
    return min(found, default=2**60)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
