"""From an analysis to parts of about equal cost. A pure function of the request and the headers of its files."""

import functools
import hashlib
import importlib.metadata
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil, comb

from worker.analysis import stage_of
from worker.measuring import Study, fold_plan_of, n_draws
from worker.task_costs import task_cost
from worker.tasks import Task, layer_tasks, split_tasks

FEWEST_PARTS = 2
"""An analysis of less than so many parts is computed as a whole."""
_LARGE = 1.5
"""A layer is divided where it costs more than so many parts."""
_ASSEMBLY_SHARE = 0.01


@dataclass(frozen=True)
class Part:
    """Tasks that one worker performs in one go, and the numbers of the parts whose results they need."""

    tasks: tuple[Task, ...]
    needs: tuple[int, ...]
    cost: float
    about: str


Cost = Callable[[Task], float]


def plan(study: Study, part_seconds: float) -> list[Part]:
    """Return the parts of an analysis; the last has no tasks and puts the report together. Empty: it stays whole."""

    @functools.cache
    def cost(task: Task) -> float:
        return task_cost(task, study)

    layers, splits = layer_tasks(study), split_tasks(study)
    total = sum(cost(task) for task in (*layers, *splits))
    if total < FEWEST_PARTS * part_seconds:
        return []
    parts: list[Part] = []
    for run in _runs([*layers, *splits], cost, part_seconds):
        if len(run) == 1 and run[0].kind == "layer" and cost(run[0]) > _LARGE * part_seconds:
            parts += _divided(run[0], study, cost, part_seconds, len(parts))
        else:
            parts.append(_part(run, study, cost))
    if len(parts) < FEWEST_PARTS:
        return []
    needs = tuple(n for n, part in enumerate(parts) if part.tasks[0].kind in ("layer", "joined", "splits"))
    return [*parts, Part((), needs, _ASSEMBLY_SHARE * total, "the report")]


def _runs(tasks: Sequence[Task], cost: Cost, part_seconds: float) -> Iterator[list[Task]]:
    """Yield consecutive tasks of one kind that together cost about one part; a large layer is alone."""
    run: list[Task] = []
    for task in tasks:
        together = sum(map(cost, run)) + cost(task)
        if run and (together > part_seconds or task.kind != run[0].kind):
            yield run
            run = []
        run.append(task)
    if run:
        yield run


def _divided(task: Task, study: Study, cost: Cost, part_seconds: float, first: int) -> list[Part]:
    """Divide a layer: its trees, blocks of its pairs, runs of its folds, what else is wanted, and what joins them."""
    item = study.inputs[task.item]
    folds = fold_plan_of(item)

    def pieces(kind: str, begin: int, end: int) -> list[Task]:
        if end <= begin:
            return []
        whole = Task(kind, task.item, task.layer, begin, end)  # type: ignore[arg-type]  # one of the kinds below
        count = min(end - begin, ceil(cost(whole) / part_seconds))
        edges = [begin + (end - begin) * i // count for i in range(count + 1)]
        return [Task(whole.kind, task.item, task.layer, a, b) for a, b in itertools.pairwise(edges)]

    trees = Task("trees", task.item, task.layer)
    blocks = pieces("pairs", 0, comb(len(item.file.classes), 2))
    others = [*pieces("folds", 0, 0 if folds is None else folds.n_repeats * folds.n_folds)]
    if study.request.sampling.trend:
        others.append(Task("trend", task.item, task.layer))
    others += pieces("draws", 1, n_draws(study, item))
    parts = [_part([trees], study, cost)]
    parts += [_part([block], study, cost, (first,)) for block in blocks]
    parts += [_part([other], study, cost) for other in others]
    joined = Task("joined", task.item, task.layer)
    return [*parts, _part([joined], study, cost, tuple(range(first, first + len(parts))))]


def _part(tasks: Sequence[Task], study: Study, cost: Cost, needs: tuple[int, ...] = ()) -> Part:
    about = stage_of(tasks[0], study)
    if len(tasks) > 1:
        about += f" to {tasks[-1].layer}"
    return Part(tuple(tasks), needs, sum(map(cost, tasks)), about)


def fingerprint(part: Part, study: Study) -> str:
    """Return a digest of all that decides the result of a part."""
    request = study.request
    seen = {
        "versions": _versions(),
        "request": request.model_dump(
            mode="json", include={"metric", "sampling", "device", "seed", "tests"} if part.tasks else None
        ),
        "per_class": study.per_class,
        # A result says which input of its analysis it is about, so all of them, in their order, are part of it.
        "inputs": [item.reference.model_dump(mode="json") for item in study.inputs],
        "tasks": [asdict(task) for task in part.tasks],
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


@functools.cache
def _versions() -> list[str]:
    return [importlib.metadata.version(name) for name in ("interlayer", "numpy", "numba", "scipy")]
