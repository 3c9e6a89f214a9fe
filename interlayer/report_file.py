"""A report in a file."""

from pathlib import Path

from contract.schemas import ProblemError, Report
from contract.schemas.reading import read_report
from interlayer.errors import UsageError


def load_report(path: Path | str) -> Report:
    """Return the report in a file that `interlayer analyze -o` or a service wrote.

    Raises
    ------
    UsageError
        It cannot be read, is no report, or is of a newer schema; the message says which.
    """
    try:
        return read_report(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ProblemError as error:
        raise UsageError(f"{path} is not an interlayer report that this can read: {error.problem.detail}") from error
