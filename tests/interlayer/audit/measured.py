"""Reports of random data whose truth is known, and policies about them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contract.schemas import Report
from interlayer.local import LocalInput, analyze
from interlayer.policy import LoadedPolicy, read_policy

CLASSES = ("ant", "bee", "cat", "dog")


def write_activations(path: Path, *, seed: int, n: int = 120, apart: Sequence[float] = (0.5, 1.5), d: int = 6) -> Path:
    """Write Gaussian classes, `apart` standard deviations from each other at each of the layers."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(CLASSES, n)
    centres = np.eye(len(CLASSES), d)
    layers = {
        f"{number}.Dense": distance * np.repeat(centres, n, axis=0) + generator.normal(size=(len(labels), d))
        for number, distance in enumerate(apart)
    }
    np.savez(path, labels=labels, **layers)  # type: ignore[arg-type]  # the stub takes names for its own options
    return path


def report_of(tmp_path: Path, *, options: dict[str, object] | None = None, **splits: Path) -> Report:
    """Return the report of files, by split."""
    inputs = [LocalInput(path, split=split) for split, path in splits.items()]
    return analyze(inputs, options)


def policy(rules: str, head: str = "") -> LoadedPolicy:
    """Return a policy with some rules in YAML."""
    body = "".join(f"  {line}\n" for line in rules.strip("\n").splitlines())
    return read_policy(f"version: 1\n{head}\nrules:\n{body}".encode(), "policy.yaml")
