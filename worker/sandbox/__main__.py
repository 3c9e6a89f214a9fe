"""The confined process. Reads one task from stdin, puts up the fence, does the task, writes events to stdout."""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from contract.schemas import Problem, ProblemError
from worker.sandbox.confinement import Limits, confine


def main() -> None:
    """Do one task."""
    task = json.loads(sys.stdin.readline())
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not end up among the events

    def emit(**event: Any) -> None:
        print(json.dumps(event), file=events, flush=True)

    missing = confine(
        Limits(**task["limits"]),
        [Path(path) for path in task["readable"]],
        Path(task["scratch"]),
        Path(task["hidden"]),
        gpu=task["gpu"],
    )
    if missing and task["required"]:
        emit(problem=Problem.of("sandbox_unavailable", f"{'; '.join(missing)}; use another machine").model_dump())
        return
    os.chdir(task["scratch"])
    try:
        module, _, function = task["entry"].partition(":")
        result = getattr(importlib.import_module(module), function)(
            task["payload"], lambda done, total: emit(progress=[done, total])
        )
        emit(result=result, missing=missing)
    except ProblemError as error:
        emit(problem=error.problem.model_dump())
    except MemoryError:
        detail = "the model needs more memory than it may use; give fewer rows, or a smaller model"
        emit(problem=Problem.of("out_of_memory", detail).model_dump())


if __name__ == "__main__":
    main()
