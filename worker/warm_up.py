"""Have the kernels compiled, or loaded from where they were kept, before somebody waits for them."""

import numpy as np

from hpcore.overall import separation_test
from hpcore.study import measure_layer

_ROWS_PER_CLASS = 90  # enough for folds
_DIMENSIONS = (4, 40)  # direct differences, and inner products


def warm_up() -> None:
    """Measure small layers of the kinds that come in files."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], _ROWS_PER_CLASS)
    for dtype in (np.float16, np.float32, np.float64):
        for dimension in _DIMENSIONS:
            layer = rng.normal(size=(len(labels), dimension)).astype(dtype)
            layer[:8] = layer[8]  # repeated points take a way of their own
            layer.flags.writeable = False  # as a memory-mapped file is
            measure_layer(layer, labels, n_threads=1)
            separation_test(layer, labels)
