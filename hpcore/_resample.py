"""Null distributions of sums by random draws that many tests share."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CELLS_PER_BATCH = 2**22
"""Random numbers drawn at a time (32 MiB): memory is bounded whatever the number of draws."""


def selection_sums(values: Floats, size: int, n_resamples: int, rng: np.random.Generator) -> Floats:
    """Sums over random subsets of `size` of the columns of `values` (T, N), the same subsets for all T rows.

    Returns
    -------
    ndarray (n_resamples, T)
        Every subset is equally likely. Cost: one selection matrix and one matrix product for all rows together.
    """
    n_tests, n = values.shape
    sums = np.empty((n_resamples, n_tests))
    batch = max(1, _CELLS_PER_BATCH // n)
    for start in range(0, n_resamples, batch):
        stop = min(start + batch, n_resamples)
        chosen = np.argpartition(rng.random((stop - start, n)), size - 1, axis=1)[:, :size]
        selection = np.zeros((stop - start, n))
        np.put_along_axis(selection, chosen, 1.0, axis=1)
        sums[start:stop] = selection @ values.T
    return sums


def sign_sums(values: Floats, n_resamples: int, rng: np.random.Generator) -> Floats:
    """Sums of ``values`` (T, P) under random signs, the same signs for all T rows; shape (n_resamples, T)."""
    n_tests, n = values.shape
    sums = np.empty((n_resamples, n_tests))
    batch = max(1, _CELLS_PER_BATCH // n)
    for start in range(0, n_resamples, batch):
        stop = min(start + batch, n_resamples)
        signs = 2.0 * rng.integers(0, 2, size=(stop - start, n)) - 1.0
        sums[start:stop] = signs @ values.T
    return sums
