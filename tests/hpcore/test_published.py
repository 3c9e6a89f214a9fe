"""Numbers that other people's software prints."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import make_blobs

from hpcore import henze_penrose


def blobs(first: tuple[float, float], second: tuple[float, float]) -> NDArray[np.float64]:
    points, _ = make_blobs(50, centers=[first, second], cluster_std=0.3, random_state=712)
    return np.asarray(points)


@pytest.mark.parametrize(
    ("other", "cross_edges", "statistic"),
    [
        (blobs((-0.5, -0.5), (1, 1)) + 0.05, 49, 0.02),
        (blobs((-0.5, 0.5), (1, -1)), 3, 0.94),
    ],
)
def test_dataeval_documentation(other: NDArray[np.float64], cross_edges: int, statistic: float) -> None:
    """Its divergence example prints 48 and 2 errors, which are R - 1."""
    found = henze_penrose(blobs((-1, -1), (1, 1)), other)
    assert found.cross_edges == cross_edges
    assert found.statistic == pytest.approx(statistic)
