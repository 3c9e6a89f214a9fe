"""Exact Henze-Penrose statistics of labelled activations and the tests built on them.

Arrays in, frozen dataclasses out; nothing here knows the web, queues, files or settings.

    activations, labels
        │  _validate        arrays → what the kernels may assume
        ▼
    distances ──▶ spanning_tree ──▶ ties ──────▶ separation ──▶ permutation, inference ──▶ study
    (geometry)    (candidate edges, (average     (statistic,    (tests)                    (every table
                   _mst_*.py)        over trees)  test, bounds)                             of the paper)
                                        │                  │
                                        │                  └──▶ folds, membership, trend (what needs the points again)
                                        └──▶ multiclass, overall (one tree over all classes)

Names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpcore._result import TestResult
    from hpcore.errors import HpcoreError, InvalidInput
    from hpcore.folds import fold_means
    from hpcore.inference import class_jackknife_test, subsample_test
    from hpcore.membership import membership_test
    from hpcore.multiclass import multiclass_bayes_error_bounds
    from hpcore.permutation import permutation_test
    from hpcore.separation import (
        PairwiseSeparation,
        Separation,
        bayes_error_bounds,
        henze_penrose,
        pairwise_henze_penrose,
    )

_HOME = {
    "HpcoreError": "hpcore.errors",
    "InvalidInput": "hpcore.errors",
    "PairwiseSeparation": "hpcore.separation",
    "Separation": "hpcore.separation",
    "TestResult": "hpcore._result",
    "bayes_error_bounds": "hpcore.separation",
    "class_jackknife_test": "hpcore.inference",
    "fold_means": "hpcore.folds",
    "henze_penrose": "hpcore.separation",
    "membership_test": "hpcore.membership",
    "multiclass_bayes_error_bounds": "hpcore.multiclass",
    "pairwise_henze_penrose": "hpcore.separation",
    "permutation_test": "hpcore.permutation",
    "subsample_test": "hpcore.inference",
}

__all__ = [
    "HpcoreError",
    "InvalidInput",
    "PairwiseSeparation",
    "Separation",
    "TestResult",
    "bayes_error_bounds",
    "class_jackknife_test",
    "fold_means",
    "henze_penrose",
    "membership_test",
    "multiclass_bayes_error_bounds",
    "pairwise_henze_penrose",
    "permutation_test",
    "subsample_test",
]


def __getattr__(name: str) -> object:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
