"""What the tasks of an analysis cost, predicted from the headers of its files."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from contract import costs
from contract.predictions import comparing, measuring
from contract.shapes import Cost, Processor, Shape
from hpcore.threads import available_threads
from worker.measuring import Study
from worker.tasks import Task, TaskKind


def task_cost(task: Task, study: Study) -> float:
    """Return the seconds that a task takes on the reference machine, with reading what it needs."""
    shape = shape_of(study, task.item, task.layer)
    processor = Processor(threads=study.resources.n_threads or available_threads())
    units: Mapping[TaskKind, Callable[[], Cost]] = {
        "trees": lambda: costs.class_trees(shape, processor),
        "pairs": lambda: costs.pair_block(shape, task.stop - task.first, processor),
        "folds": lambda: costs.fold_cells(shape, task.stop - task.first, processor),
        "trend": lambda: costs.trend(shape, processor),
        "draws": lambda: costs.further_draws(shape, task.stop - task.first, processor),
        "joined": lambda: costs.assembly(1, shape.pairs, 0),
    }
    if task.kind == "layer":
        return measuring(study.request, shape, processor)[0].seconds
    if task.kind == "splits":
        return comparing(study.request, shape, _other_split(task, study), processor)[0].seconds
    return units[task.kind]().seconds + costs.reading(shape).seconds


def shape_of(study: Study, number: int, layer: str) -> Shape:
    """Return what decides the cost of one layer of an input."""
    item = study.inputs[number]
    array, counts = item.file.layers[layer], np.bincount(item.codes)
    return Shape(
        rows=int(counts.sum()),
        classes=len(counts),
        features=item.dimension(layer),
        smallest=int(counts.min()),
        dtype=array.dtype,
        metric=study.request.metric,
        mapped=item.file.format == "safetensors",
        file_rows=None if item.rows is None else array.shape[0],
    )


def _other_split(task: Task, study: Study) -> Shape:
    key = replace(study.inputs[task.item].key, split="validation")
    number = next(number for number, item in enumerate(study.inputs) if item.key == key)
    return shape_of(study, number, task.layer)
