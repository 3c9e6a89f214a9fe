"""What the computing process does for an analysis in parts: plan it, compute a part of it, or put it together."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from contract.schemas import AnalysisRequest, ProblemError, Separation
from worker.analysis import assembled, open_study, performed, separation_of, stage_of
from worker.measuring import Measured, Progress, Resources
from worker.messages import PartWork, PlannedPart, Work
from worker.plan import fingerprint, plan
from worker.results import DamagedResult, packed, unpacked
from worker.task_costs import task_cost
from worker.tasks import Result, Task, layer_tasks


def planned(
    request: AnalysisRequest, paths: dict[str, Path], resources: Resources, seconds: float
) -> list[PlannedPart]:
    """Return the parts of a request; none where it is to be computed as a whole. Errors are those of `analyze`."""
    if not seconds or any(item.model is not None for item in request.inputs):
        return []  # what a model records is not kept for others
    study = open_study(request, paths, resources)
    return [
        PlannedPart(
            tasks=[asdict(task) for task in part.tasks],
            needs=list(part.needs),
            cost=part.cost,
            about=part.about,
            fingerprint=fingerprint(part, study),
        )
        for part in plan(study, seconds)
    ]


def computed(
    work: Work,
    part: PartWork,
    resources: Resources,
    on_progress: Progress,
    on_layer: Callable[[int, Separation], None],
) -> tuple[bytes, str]:
    """Return the bytes of a part's result, or of the report, and the device that computed it."""
    request = AnalysisRequest.model_validate(work.request)
    study = open_study(request, {artifact: Path(path) for artifact, path in work.inputs.items()}, resources)
    known, tasks = _known(part), [Task(**task) for task in part.tasks]
    if not tasks:
        on_progress("putting the report together", 0, 1, 0.0)
        report, device = assembled(study, known)
        return report.to_bytes(), device
    numbers = {(task.item, task.layer): number for number, task in enumerate(layer_tasks(study))}
    costs, results = [task_cost(task, study) for task in tasks], dict[Task, Result]()
    for done, task in enumerate(tasks):
        on_progress(stage_of(task, study), done, len(tasks), sum(costs[:done]) / sum(costs))
        results[task] = found = performed(task, study, known)
        if isinstance(found, Measured):
            on_layer(numbers[task.item, task.layer], separation_of(task, study, found))
    return packed(results), _device(results)


def _known(part: PartWork) -> dict[Task, Result]:
    results: dict[Task, Result] = {}
    for needed in part.results:
        try:
            results |= unpacked(Path(needed.path).read_bytes(), needed.sha256)
        except (FileNotFoundError, DamagedResult) as error:
            raise ProblemError(
                "internal_error", "the result of a part is lost or damaged; try the analysis again"
            ) from error
    return results


def _device(results: dict[Task, Result]) -> str:
    """Return where layers were measured; what else there is has no say in the report's own line."""
    found = {result.layer.separation.device for result in results.values() if isinstance(result, Measured)}
    found |= {result.device for result in results.values() if hasattr(result, "device")}
    return "+".join(sorted(found))
