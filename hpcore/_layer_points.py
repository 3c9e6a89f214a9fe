"""The arguments that every measurement of a layer takes, checked: its points, its classes, and the means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcore import _validate
from hpcore.distances import Points, distinct_points
from hpcore.spanning_tree import Forests, Progress, resolve_device
from hpcore.threads import available_threads


class Options(TypedDict, total=False):
    """Options of `hpcore.pairwise_henze_penrose`, for whoever hands them on; they mean the same everywhere."""

    metric: str
    ties: str
    device: str
    n_threads: int | None
    memory_budget: int | None
    on_progress: Progress | None


@dataclass(frozen=True)
class LayerPoints:
    """Activations as points of a geometry, their classes, and what may be used to measure them."""

    points: Points
    groups: _validate.ClassLabels
    metric: str
    ties: str
    device: str
    n_threads: int
    memory_budget: int | None
    report: Progress

    @classmethod
    def of(
        cls,
        activations: ArrayLike,
        labels: ArrayLike,
        *,
        metric: str = "euclidean",
        ties: str = "average",
        device: str = "auto",
        n_threads: int | None = None,
        memory_budget: int | None = None,
        on_progress: Progress | None = None,
    ) -> LayerPoints:
        """Check the arguments of `hpcore.pairwise_henze_penrose`."""
        rows = _validate.activation_matrix(activations)
        groups = _validate.class_labels(labels, rows.shape[0])
        metric = _validate.choice(metric, "metric", _validate.METRICS)
        ties = _validate.choice(ties, "ties", _validate.TIES)
        device = resolve_device(_validate.choice(device, "device", _validate.DEVICES))
        threads = available_threads() if n_threads is None else _validate.positive_integer(n_threads, "n_threads")
        if memory_budget is not None:
            _validate.positive_integer(memory_budget, "memory_budget")
        held = rows.nbytes if _is_copied(rows, activations) else 0
        points = distinct_points(rows, metric, held=held, budget=memory_budget, n_threads=threads)
        return cls(points, groups, metric, ties, device, threads, memory_budget, on_progress or _silent)

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return int(self.groups.classes.shape[0])

    def forests(self, part_size: int, **options: Any) -> Forests:
        """Build the trees of the classes; further options are those of `Forests`."""
        return Forests(
            self.points,
            self.groups.codes,
            self.n_classes,
            n_threads=self.n_threads,
            memory_budget=self.memory_budget,
            report=self.report,
            device=self.device,
            part_size=part_size,
            **options,
        )


def _is_copied(rows: NDArray[Any], activations: ArrayLike) -> bool:
    """Whether the rows are no view of what was given: a list, or axes that do not flatten."""
    return not (hasattr(activations, "__array__") and np.may_share_memory(rows, np.asarray(activations)))


def _silent(stage: str, done: int, total: int) -> None:
    """Report to nobody."""
