"""What can go wrong for a user of the client, and the exit code each becomes."""

from contract.schemas import Problem

# Exit codes of the command, stable for scripts.
PASS, VIOLATION, USAGE, INCONCLUSIVE, ANALYSIS_FAILED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

# Which extra brings a package that a plain installation lacks.
EXTRAS = {
    "alembic": "service",
    "fastapi": "service",
    "numba": "core",
    "numpy": "core",
    "onnx": "models",
    "onnxruntime": "models",
    "pandas": "pandas",
    "prometheus_client": "service",
    "pydantic_settings": "service",
    "safetensors": "worker",
    "scipy": "core",
    "sqlalchemy": "service",
    "structlog": "service",
    "torch": "models",
    "transformers": "models",
}


class InterlayerError(Exception):
    """Base class; `exit_code` is what the command ends with."""

    exit_code = ANALYSIS_FAILED


class UsageError(InterlayerError):
    """The command was called in a way that cannot mean anything."""

    exit_code = USAGE


class ServiceUnreachable(InterlayerError):
    """The service does not answer."""

    exit_code = UNREACHABLE


class RequestRefused(InterlayerError):
    """The service answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail} [{problem.code}]")
        self.problem = problem
        self.exit_code = UNREACHABLE if problem.status in (401, 403, 429) or problem.status >= 500 else ANALYSIS_FAILED


class AnalysisFailed(InterlayerError):
    """The analysis ended without a report."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail} [{problem.code}]")
        self.problem = problem


class TimedOut(InterlayerError):
    """The analysis did not end in the time given; it goes on."""

    exit_code = UNREACHABLE
