"""Orders of edges, against those of numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcore._sort_cpu import order_by_bits
from hpcore.ties import sorted_edges

numbers = st.floats(0.0, allow_nan=False) | st.sampled_from([0.0, 1.0])
lengths = arrays(np.float64, st.integers(0, 300), elements=numbers)


@given(values=lengths, seed=st.integers(0, 2**32 - 1))
def test_bits_order_numbers_and_leave_equal_ones_as_they_were(values: np.ndarray, seed: int) -> None:
    given_order = np.random.default_rng(seed).permutation(values.shape[0])
    values = np.abs(values)  # -0.0 has another sign bit
    order = given_order.copy()
    order_by_bits(values.view(np.uint64), order)
    np.testing.assert_array_equal(order, given_order[np.argsort(values[given_order], kind="stable")])


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 400), n_nodes=st.sampled_from([2, 300, 70_000, 2**32]))
def test_edges_are_sorted_by_length_and_ends_and_come_once(seed: int, n: int, n_nodes: int) -> None:
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, n_nodes, (n, 2))
    ends[n // 2 :] = ends[: n - n // 2]  # repeated, of the same length
    low, high = ends.min(axis=1), ends.max(axis=1)
    weight = ((low * 7 + high) % 5 / 3.0) * rng.choice([0.0, -0.0, 1.0, 1e-300])
    edges = sorted_edges(ends[:, 0], ends[:, 1], weight)
    expected = sorted({(w + 0.0, a, b) for w, a, b in zip(weight.tolist(), low.tolist(), high.tolist(), strict=True)})
    assert list(zip(edges.weight.tolist(), edges.u.tolist(), edges.v.tolist(), strict=True)) == expected
