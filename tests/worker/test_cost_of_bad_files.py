"""Every bad file is refused in bounded memory and with bounded work, and a good one is read right after it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.test_bad_files import NPZ, SAFETENSORS, UNPACKED, with_members

_MOST_MEMORY = 40 * 2**20  # beyond an interpreter that has read a good file; the largest header is of some megabytes
_MOST_CPU_SECONDS = 2.0  # of the processor, not by the clock: a busy machine makes nobody fail
_READER = """
import json, sys, time
from pathlib import Path
from contract.schemas import ProblemError
from worker.activations import open_activations

def read(name):
    try:
        open_activations(Path(name), max_unpacked_bytes=int(sys.argv[1]))
    except ProblemError as error:
        return error.problem.code
    return ""

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

for line in sys.stdin:
    good, bad = json.loads(line)
    assert read(good) == ""
    Path("/proc/self/clear_refs").write_text("5")
    memory, work = peak(), time.process_time()
    code = read(bad)
    cost = [code, peak() - memory, time.process_time() - work]
    print(json.dumps([*cost, read(good)]), flush=True)
"""


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int, float, str]]:
    """Have one process read every bad file, each between two good ones: code, memory, work, and the good one's code."""
    folder = tmp_path_factory.mktemp("files")
    lines = []
    for number, (make, _, _) in enumerate([*NPZ.values(), *SAFETENSORS.values()]):
        good, bad = folder / "good", folder / f"bad-{number}"
        good.write_bytes(with_members())
        bad.write_bytes(make())
        lines.append(json.dumps([str(good), str(bad)]))
    before = sorted(path.name for path in folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", _READER, str(UNPACKED)],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing is left beside them"
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip([*NPZ, *SAFETENSORS], found, strict=True))


@pytest.mark.parametrize("name", [*NPZ, *SAFETENSORS])
def test_it_is_refused_at_little_cost(costs: dict[str, tuple[str, int, float, str]], name: str) -> None:
    code, memory, seconds, afterwards = costs[name]
    wanted = (NPZ | SAFETENSORS)[name][1]
    assert code
    assert wanted in ("", code)
    assert memory < _MOST_MEMORY
    assert seconds < _MOST_CPU_SECONDS
    assert afterwards == ""


def test_a_reader_that_wasted_memory_and_time_would_be_noticed(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(with_members())
    bad.write_bytes(b"PK")
    waste = "    if name.endswith('bad'): b'x' * 2**27; sum(range(2 * 10**8))\n    try:\n"
    code = _READER.replace("    try:\n", waste)
    done = subprocess.run(
        [sys.executable, "-c", code, str(UNPACKED)],
        input=json.dumps([str(good), str(bad)]) + "\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    _, memory, seconds, _ = json.loads(done.stdout)
    assert memory > _MOST_MEMORY
    assert seconds > _MOST_CPU_SECONDS
