"""Machine code on the disk: used again, and never after any of the sources that it was made from has changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import hpcore

# `_unique_tree` calls `level_end` of another file
_SCRIPT = """
import numpy as np
from hpcore._pair_forests_cpu import _unique_tree
print(_unique_tree(np.array([1.0, 2.0, 3.0]), np.array([[0, 1], [1, 2], [0, 2]], np.int32), 0.0, 1, 3)[0])
print(sum(_unique_tree.stats.cache_hits.values()))
"""


def run(folder: Path) -> list[int]:
    found = subprocess.run([sys.executable, "-c", _SCRIPT], cwd=folder, check=True, capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_a_change_in_a_file_that_a_kernel_calls_makes_it_new(tmp_path: Path) -> None:
    copy = tmp_path / "hpcore"
    shutil.copytree(Path(hpcore.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tmp_path) == [1, 0]
    assert run(tmp_path) == [1, 1]
    called = copy / "_forest_cpu.py"
    text = called.read_text()
    changed = text.replace("    stop = start + 1\n", "    stop = weight.shape[0]\n")
    assert changed != text
    called.write_text(changed)
    assert run(tmp_path) == [-1, 0]  # all edges in one level: the tree is not unique
    called.write_text(text)
    assert run(tmp_path)[0] == 1
