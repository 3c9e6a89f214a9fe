"""The tasks that an analysis consists of. Whoever performs them, in whatever order: the results are the same.

layer                                   a layer that one worker measures at once
trees ──▶ pairs, pairs, … ─┐
          folds, folds, … ─┼──▶ joined  one that is too large for that
          trend, draws ────┘
splits                                  training against validation, sample by sample
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hpcore.study import StateKey
from worker import measuring
from worker.arrays import Array
from worker.measuring import Measured, Study
from worker.split_tests import SplitTests, compare_splits, compared_keys

TaskKind = Literal["layer", "trees", "pairs", "folds", "trend", "draws", "joined", "splits"]
Result = Any
"""Of a layer or a joined one `Measured`, of splits `SplitTests`; of the others what hpcore returns."""


@dataclass(frozen=True, order=True)
class Task:
    """One layer of the input with this number, or pieces ``first:stop`` of it."""

    kind: TaskKind
    item: int
    layer: str
    first: int = 0
    stop: int = 0


def layer_tasks(study: Study) -> list[Task]:
    """Return one task for every layer of every input, in the order of the report."""
    return [Task("layer", number, layer) for number in range(len(study.inputs)) for layer in study.layers]


def split_tasks(study: Study) -> list[Task]:
    """Return one task for every layer of every network that is compared on both splits."""
    numbers = {item.key: number for number, item in enumerate(study.inputs)}
    keys = compared_keys(list(numbers), study.request.tests)
    return [Task("splits", numbers[key], layer) for key in keys for layer in study.layers]


def perform(task: Task, study: Study, results: Mapping[Task, Result]) -> Result:
    """Perform a task; `results` holds those of the tasks that it needs."""
    item = study.inputs[task.item]
    doing: Mapping[TaskKind, Callable[[], Result]] = {
        "layer": lambda: measuring.measured(study, item, task.layer),
        "trees": lambda: measuring.trees_of(study, item, task.layer),
        "pairs": lambda: measuring.block_of(
            study, item, task.layer, _only(results, task, "trees"), task.first, task.stop
        ),
        "folds": lambda: measuring.cells_of(study, item, task.layer, task.first, task.stop),
        "trend": lambda: measuring.trend_of(study, item, task.layer),
        "draws": lambda: measuring.draw_means(study, item, task.layer, task.first, task.stop),
        "joined": lambda: _joined(task, study, results),
        "splits": lambda: _splits(task, study),
    }
    return doing[task.kind]()


def _of_layer(results: Mapping[Task, Result], task: Task, kind: TaskKind) -> list[Result]:
    return [
        results[each] for each in sorted(results) if (each.kind, each.item, each.layer) == (kind, task.item, task.layer)
    ]


def _only(results: Mapping[Task, Result], task: Task, kind: TaskKind) -> Result:
    (found,) = _of_layer(results, task, kind)
    return found


def _joined(task: Task, study: Study, results: Mapping[Task, Result]) -> Measured:
    trends: Sequence[Result] = _of_layer(results, task, "trend")
    return measuring.joined_layer(
        study.inputs[task.item],
        _only(results, task, "trees"),
        _of_layer(results, task, "pairs"),
        _of_layer(results, task, "folds"),
        trends[0] if trends else None,
        [mean for means in _of_layer(results, task, "draws") for mean in means],
    )


def _splits(task: Task, study: Study) -> SplitTests:
    by_key = {item.key: item for item in study.inputs}

    def load(key: StateKey, layer: str) -> tuple[Array, Array]:
        return by_key[key].load(layer), by_key[key].codes

    return compare_splits(
        study.inputs[task.item].key,
        task.layer,
        load,
        study.request.tests,
        metric=study.request.metric,
        device=study.request.device,
        seed=study.request.seed,
        n_threads=study.resources.n_threads,
    )
