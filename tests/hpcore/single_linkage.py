"""Which edges lie in some minimum tree, by single linkage as SciPy finds it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform

from tests import oracle

Rows = NDArray[np.float64]


def longest_on_path(rows: Rows) -> Rows:
    """The least longest edge over all paths between every two points: single linkage."""
    if len(rows) == 1:
        return np.zeros((1, 1))
    return np.asarray(squareform(cophenet(linkage(squareform(oracle.squared_distances(rows)), "single"))))


def minimal(rows: Rows) -> NDArray[np.bool_]:
    """Which edges lie in some minimum tree."""
    return oracle.squared_distances(rows) <= longest_on_path(rows) + 1e-9
