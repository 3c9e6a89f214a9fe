"""From a request and the files it names to a report. The only place that maps schemas to hpcore and back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from contract.schemas import AnalysisRequest, InputReference, ProblemError, Report, Separation
from hpcore.errors import DeviceUnavailable, HpcoreError, OutOfMemory
from hpcore.study import StateKey, layer_tests
from worker import reporting
from worker.activations import ActivationFile, open_activations
from worker.cautions import warnings
from worker.feasible import require_feasible
from worker.findings import findings
from worker.gpu_memory import where_it_fits
from worker.measuring import TIES, Measured, Progress, Resources, Study, StudyInput
from worker.models.sources import ModelRunning, open_labels, recorded
from worker.selection import all_draws, check_same_study, draw_rows, require_layer, rows_per_class, select_layers
from worker.shared_rows import shared_rows
from worker.split_tests import SplitTests, diagnostics, with_membership
from worker.task_costs import task_cost
from worker.tasks import Result, Task, layer_tasks, perform, split_tasks


def analyze(
    request: AnalysisRequest,
    paths: Mapping[str, Path],
    resources: Resources = Resources(),
    *,
    on_progress: Progress = lambda _stage, _done, _total, _fraction: None,
    on_layer: Callable[[Separation], None] = lambda _separation: None,
    running: ModelRunning | None = None,
) -> tuple[Report, str]:
    """Compute the report of a request.

    Parameters
    ----------
    request
        What to compute.
    paths
        Where the file of each artifact id lies.
    resources
        Threads and memory. They have no influence on the report.
    on_progress
        Called with (stage, layers done, layers, fraction); it may raise.
    on_layer
        Called with every layer as it is finished, in the order of measuring.
    running
        How models are run that the request names; without it, they are refused.

    Returns
    -------
    report, device
        The report, and the device that computed it (not part of the report).

    Raises
    ------
    ProblemError
        What is wrong with the inputs or the request, and what to do about it.
    """
    files = [_open(item, paths, resources, running) for item in request.inputs]
    if running is None or all(item.model is None for item in request.inputs):
        return analyze_study(_study(request, files, resources), on_progress, on_layer)
    per_class = rows_per_class(request, files)
    rows = [
        all_draws(
            file.codes,
            per_class,
            seed=request.seed,
            split=item.split,
            count=request.sampling.repeats,
            part=request.sampling.part,
        )
        for item, file in zip(request.inputs, files, strict=True)
    ]

    def show(done: int, total: int) -> None:
        on_progress("running the model", done, total, 0.0)

    with recorded(request, files, rows, paths, running, resources, show) as (found, notes):
        report, device = analyze_study(_study(request, found, resources), on_progress, on_layer)
    return report, "; ".join([device, *notes])


def analyze_study(study: Study, on_progress: Progress, on_layer: Callable[[Separation], None]) -> tuple[Report, str]:
    """Compute the report of a study that is open; see `analyze`."""
    tasks = [*layer_tasks(study), *split_tasks(study)]
    results = performed_all(tasks, study, {}, on_progress, lambda _, found: on_layer(found))
    on_progress("tests", len(tasks), len(tasks), 1.0)
    return assembled(study, results)


def performed_all(
    tasks: Sequence[Task],
    study: Study,
    known: Mapping[Task, Result],
    on_progress: Progress,
    on_layer: Callable[[Task, Separation], None],
) -> dict[Task, Result]:
    """Perform tasks in order; `known` are the results that they need, `on_layer` gets every layer that is measured."""
    costs, results = [task_cost(task, study) for task in tasks], dict[Task, Result]()
    for done, task in enumerate(tasks):
        on_progress(stage_of(task, study), done, len(tasks), sum(costs[:done]) / sum(costs))
        results[task] = found = performed(task, study, known)
        if isinstance(found, Measured):
            on_layer(task, _separation(study.inputs[task.item], task.layer, found))
    return results


def open_study(request: AnalysisRequest, paths: Mapping[str, Path], resources: Resources) -> Study:
    """Open the files of a request that runs no model; errors as those of `analyze`."""
    return _study(request, [_open(item, paths, resources, None) for item in request.inputs], resources)


def _study(request: AnalysisRequest, files: list[ActivationFile], resources: Resources) -> Study:
    # A model has recorded what was asked for, and nothing else.
    layers = [
        tuple(select_layers(list(file.layers), request.layers) if file.source is None else file.layers)
        for file in files
    ]
    check_same_study(files, layers)
    for name in dict.fromkeys(name for block in request.components.values() for name in block):
        require_layer(name, layers[0])
    per_class = rows_per_class(request, files)
    if resources.limits is not None:
        require_feasible(request, files, resources.limits)
    inputs = [
        StudyInput(
            item,
            file,
            layers[0],
            draw_rows(file.codes, per_class, seed=request.seed, split=item.split, part=request.sampling.part),
        )
        for item, file in zip(request.inputs, files, strict=True)
    ]
    return Study(request, tuple(inputs), per_class, resources)


def performed(task: Task, study: Study, known: Mapping[Task, Result]) -> Result:
    """Perform a task of an analysis; `known` are the results that it needs."""
    with _problems():
        found, fit = where_it_fits(study.request, lambda request: perform(task, replace(study, request=request), known))
    return replace(found, **asdict(fit)) if isinstance(found, Measured | SplitTests) else found


def assembled(study: Study, results: Mapping[Task, Result]) -> tuple[Report, str]:
    """Make the report of the results of all layers, measured at once or joined, and of all splits."""
    with _problems():
        measured: dict[StateKey, dict[str, Measured]] = {item.key: {} for item in study.inputs}
        for task, result in results.items():
            if task.kind in ("layer", "joined"):
                measured[study.inputs[task.item].key][task.layer] = result
        ordered = {key: {layer: layers[layer] for layer in study.layers} for key, layers in measured.items()}
        compared = [results[task] for task in split_tasks(study)]
        report = _report(study.request, list(study.inputs), ordered, compared, study.per_class)
        return report, _device(ordered, compared)


def stage_of(task: Task, study: Study) -> str:
    """Say what a task is about."""
    role = study.inputs[task.item].reference
    if task.kind == "splits":
        return f"instance {role.instance}, {role.state}, training against validation: {task.layer}"
    return f"instance {role.instance}, {role.state}, {role.split}: {task.layer}"


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except OutOfMemory as error:
        raise ProblemError("out_of_memory", f"{error}; analyse fewer rows or smaller layers") from error
    except DeviceUnavailable as error:
        raise ProblemError("device_unavailable", f"{error}; ask for device 'auto' or 'cpu'") from error
    except HpcoreError as error:
        raise ProblemError("invalid_activations", str(error)) from error


def _open(
    item: InputReference, paths: Mapping[str, Path], resources: Resources, running: ModelRunning | None
) -> ActivationFile:
    try:
        if item.artifact is None:
            if running is None:
                raise ProblemError("model_unsupported", "models are run by a worker; give recorded activations")
            return open_labels(item, paths, running, resources).labels()
        return open_activations(paths[item.artifact], max_unpacked_bytes=resources.max_unpacked_bytes)
    except FileNotFoundError as error:
        detail = f"the file of {item.artifact or item.data} is gone; upload it again"
        raise ProblemError("artifact_not_found", detail) from error


def _report(
    request: AnalysisRequest,
    inputs: list[StudyInput],
    measured: Mapping[StateKey, Mapping[str, Measured]],
    compared: list[SplitTests],
    per_class: int | None,
) -> Report:
    classes, layers = inputs[0].file.classes, inputs[0].layers
    separations: list[Separation] = [
        _separation(item, layer, measured[item.key][layer]) for item in inputs for layer in layers
    ]
    tests = layer_tests(
        {key: {layer: found.layer for layer, found in layers.items()} for key, layers in measured.items()},
        request.components,
        n_resamples=request.tests.n_resamples,
        method=request.tests.method,
        seed=request.seed,
        class_jackknife=request.tests.classes == "sample",
        adjustment=request.tests.adjustment,
    )
    tests = with_membership(tests, compared, request.tests)
    report = Report(
        provenance=reporting.provenance(request, per_class, TIES, [item.file.source for item in inputs]),
        classes=list(classes),
        layers=list(layers),
        separations=separations,
        tests=[reporting.test_row(test) for test in tests],
        diagnostics=diagnostics(compared),
        shared_rows=list(shared_rows(inputs, measured)),
        findings=[],
        warnings=warnings(inputs, per_class, separations),
    )
    return report.model_copy(update={"findings": findings(report)})


def _separation(item: StudyInput, layer: str, measured: Measured) -> Separation:
    return reporting.separation(item.reference, layer, item.dimension(layer), item.file.classes, measured)


def _device(measured: Mapping[StateKey, Mapping[str, Measured]], compared: list[SplitTests]) -> str:
    """Say what computed, and what could not be computed where it was meant to be."""
    found = [measured for layers in measured.values() for measured in layers.values()]
    notes = ["+".join(sorted({each.layer.separation.device for each in found}))]
    if small := sum(each.small_tiles for each in found):
        notes.append(f"{small} of {len(found)} layers were measured in smaller tiles, for the GPU's memory is small")
    if left := sum(each.left_gpu for each in found):
        notes.append(f"{left} of {len(found)} layers were measured on the CPU, for the GPU's memory is too small")
    if any(each.small_tiles for each in compared):
        notes.append("the splits were compared in smaller tiles, for the GPU's memory is small")
    if any(each.left_gpu for each in compared):
        notes.append("the splits were compared on the CPU, for the GPU's memory is too small")
    return "; ".join(notes)
