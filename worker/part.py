"""What the computing process does for an analysis in parts: plan it, compute a part of it, or put it together."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from contract.schemas import AnalysisRequest, ProblemError, Separation
from worker.analysis import assembled, open_study, performed_all
from worker.measuring import Measured, Progress, Resources, Study
from worker.messages import PartWork, PlannedPart, Work
from worker.plan import fingerprint, plan
from worker.results import DamagedResult, packed, unpacked
from worker.tasks import Result, Task, layer_tasks


def planned(study: Study, seconds: float) -> list[PlannedPart]:
    """Return the parts of an analysis; none where it is to be computed as a whole."""
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
    results = performed_all(
        tasks, study, known, on_progress, lambda task, found: on_layer(numbers[task.item, task.layer], found)
    )
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
