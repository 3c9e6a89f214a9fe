"""What it costs a process to read bad files, each between two good ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

MOST_MEMORY = 40 * 2**20  # beyond an interpreter that has read a good file; the largest header is of some megabytes
MOST_CPU_SECONDS = 2.0  # of the processor, not by the clock: a busy machine makes nobody fail
Cost = tuple[str, int, float, str]
_READER = """
import json, sys, time
from pathlib import Path
from contract.schemas import ProblemError
{opening}

def read(name):
    try:
        open_file(Path(name))
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


def costs_of_reading(opening: str, good: Path, bad: dict[str, Path]) -> dict[str, Cost]:
    """Return, for each bad file: the code of its problem, bytes of memory, seconds of work, and the good one's code.

    `opening` is source text that defines `open_file(path)`. All files lie in one folder, where nothing may be left.
    """
    folder = good.parent
    before = sorted(path.name for path in folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", _READER.format(opening=opening)],
        input="".join(json.dumps([str(good), str(each)]) + "\n" for each in bad.values()),
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing is left beside them"
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip(bad, found, strict=True))
