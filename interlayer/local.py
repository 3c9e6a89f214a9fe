"""Analyses without a service: the worker's code in this process."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.schemas import AnalysisRequest, InputReference, ProblemError, Report
from interlayer.errors import AnalysisFailed, UsageError

_EXTRA = 'analysing here needs the numerical core: pip install "interlayer[worker]" (or submit to a service instead)'


@dataclass(frozen=True)
class LocalInput:
    """A file of activations and its role in the study."""

    path: Path | str
    state: str = "trained"
    split: str = "train"
    instance: str = "0"
    step: int | None = None

    def reference(self, artifact: str) -> InputReference:
        """Return the input as a request names it."""
        return InputReference.model_validate(
            {
                "artifact": artifact,
                "state": self.state,
                "split": self.split,
                "instance": self.instance,
                "step": self.step,
            }
        )


def analyze(
    inputs: Sequence[LocalInput],
    options: dict[str, object] | None = None,
    *,
    n_threads: int | None = None,
    memory_bytes: int | None = None,
    on_progress: Callable[[str, int, int, float], None] | None = None,
) -> Report:
    """Analyse files of activations in this process.

    Parameters
    ----------
    inputs
        The files and what each is: one network state on one split.
    options
        Further fields of the request: `metric`, `layers`, `components`, `sampling`, `tests`, `device`, `seed`.
    n_threads, memory_bytes
        Bounds on this computation; they have no influence on the report.
    on_progress
        Called with (stage, layers done, layers, fraction).

    Raises
    ------
    AnalysisFailed
        With the same problem that a service would answer.
    UsageError
        If a file is not there; if the numerical core is not installed.
    """
    files = [Path(item.path) for item in inputs]
    for file in files:
        if not file.is_file():
            raise UsageError(f"there is no file {file}")
    addresses = [f"sha256:{_sha256(file)}" for file in files]
    references = [item.reference(address).model_dump() for item, address in zip(inputs, addresses, strict=True)]
    request = AnalysisRequest.model_validate({"inputs": references, **(options or {})})
    paths = dict(zip(addresses, files, strict=True))
    try:
        from worker.analysis import analyze as compute
        from worker.measuring import Resources
    except ImportError as error:
        raise UsageError(f"{_EXTRA} [{error}]") from error
    try:
        report, _ = compute(
            request,
            paths,
            Resources(n_threads=n_threads, memory_bytes=memory_bytes),
            on_progress=on_progress or (lambda _stage, _done, _total, _fraction: None),
        )
    except ProblemError as error:
        raise AnalysisFailed(error.problem) from error
    return report


def warm_up() -> float:
    """Compile the numerical core, or load it if that was done before; return the seconds it took."""
    start = time.monotonic()
    try:
        from worker.warm_up import warm_up as run
    except ImportError as error:
        raise UsageError(f"{_EXTRA} [{error}]") from error
    run()
    return time.monotonic() - start


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
