"""What the tasks of an analysis cost, predicted from the headers of its files."""

from dataclasses import replace

import numpy as np

from contract import costs
from contract.costs import NOTHING, Cost, Processor, Shape
from hpcore.spanning_tree import available_threads
from worker.measuring import Study, n_draws
from worker.tasks import Task


def task_cost(task: Task, study: Study) -> float:
    """Return the seconds that a task takes on the reference machine, with reading what it needs."""
    shape = shape_of(study, task.item, task.layer)
    processor = Processor(threads=study.resources.n_threads or available_threads())
    if task.kind == "splits":
        return _splits(task, study, shape, processor)
    further = n_draws(study, study.inputs[task.item]) - 1
    wanted = study.request.sampling.trend
    units = {
        "layer": lambda: _whole(shape, further, wanted, processor),
        "trees": lambda: costs.class_trees(shape, processor),
        "pairs": lambda: costs.pair_block(shape, task.stop - task.first, processor),
        "folds": lambda: costs.fold_cells(shape, task.stop - task.first, processor),
        "trend": lambda: costs.trend(shape, processor),
        "draws": lambda: costs.further_draws(shape, task.stop - task.first, processor),
        "joined": lambda: costs.assembly(1, shape.pairs, 0),
    }
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


def _whole(shape: Shape, further: int, trend: bool, processor: Processor) -> Cost:
    draws = costs.further_draws(shape, further, processor) if further else NOTHING
    smaller = costs.trend(shape, processor) if trend else NOTHING
    return costs.pairs(shape, processor) + costs.fold_cells(shape, None, processor) + smaller + draws


def _splits(task: Task, study: Study, train: Shape, processor: Processor) -> float:
    key, tests = study.inputs[task.item].key, study.request.tests
    other = next(i for i, item in enumerate(study.inputs) if item.key == replace(key, split="validation"))
    validation = shape_of(study, other, task.layer)
    seconds = costs.reading(train).seconds + costs.reading(validation).seconds
    if tests.membership != "none":
        seconds += costs.membership(train, validation, tests.membership, processor).seconds
    return seconds + (costs.shift(train, validation).seconds if tests.shift else 0.0)
