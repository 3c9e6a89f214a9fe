"""Damages good files at random and reads them: `python -m tests.fuzz.readers [SECONDS] [SEED]`.

Whatever is in a file, it is read or refused with a problem of the client's; anything else ends this with the file.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.worker.bad_archives import NPZ
from tests.worker.bad_tensors import SAFETENSORS
from tests.worker.damaged_files import SEEDS, mutated, read_all

_MOST_SEED_BYTES = 20_000
_KINDS = ("set", "cut", "insert", "repeat")
_TELLING = (
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x01\x02",
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f\xff\xff\xff",
    b"{",
    b'"shape"',
    b"-1",
)


def main(seconds: float = 60.0, seed: int = 0) -> int:
    """Fuzz for a while; return how many files were read."""
    rng, end, count = random.Random(seed), time.monotonic() + seconds, 0
    bad = [case[0]() for name, case in (NPZ | SAFETENSORS).items() if name != "torch.save"]
    seeds = SEEDS + [content for content in bad if len(content) < _MOST_SEED_BYTES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        while time.monotonic() < end:
            content = mutated(rng.choice(seeds), [_mutation(rng) for _ in range(rng.randint(1, 4))])
            path.write_bytes(content)
            try:
                read_all(path)
            except BaseException:
                kept = Path(tempfile.gettempdir()) / f"unreadable-{seed}-{count}"
                kept.write_bytes(content)
                print(f"file {count} of seed {seed} is kept as {kept}", file=sys.stderr)  # noqa: T201 - a command
                raise
            count += 1
    return count


def _mutation(rng: random.Random) -> tuple[str, float, bytes]:
    data = rng.choice(_TELLING) if rng.random() < 0.5 else rng.randbytes(rng.randint(1, 8))
    return rng.choice(_KINDS), rng.random(), data


if __name__ == "__main__":
    print(main(*(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 0)))  # noqa: T201 - a command
