"""Tiles of panels, against loops over all their edges, in numbers that are exact in float32."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from hpcore._near_cpu import near_candidates
from hpcore._panel_simd import reach_tile
from hpcore._panels_cpu import Panels
from hpcore._simd import LANES, address

Array = NDArray[Any]
RATIO, EXTRA = 1.5, 2.0  # far wider than any rounding: an edge that is excluded by less shows


@numba.njit
def tile(a: Any, b: Any, wide: Any, core_a: Any, core_b: Any, lanes: Any, reach: Any, widen: Any, mask: Any) -> Any:
    return reach_tile(
        address(a, 0),
        address(b, 0),
        a.shape[0],
        address(wide, 0),
        address(core_a, 0),
        address(core_b, 0),
        address(lanes, 0),
        address(reach, 0),
        widen[0],
        widen[1],
        address(mask, 0),
    )


def widened(path: Array) -> Array:
    return path * np.float32(RATIO) + np.float32(EXTRA)


def squared(a: Array, b: Array) -> Array:
    """Between the points of two panels ``(d, 16)``."""
    return np.asarray(((a[:, :, None] - b[:, None, :]) ** 2).sum(axis=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("seed", range(5))
def test_a_tile_improves_the_reaches_marks_its_edges_and_returns_the_largest_reach(
    seed: int, d: int, dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 12, (2, d, LANES)).astype(dtype)
    core_a, core_b, inner = rng.integers(0, 60, (3, LANES)).astype(dtype)
    lanes: Array = rng.choice([20.0, 80.0, np.inf], (LANES, LANES)).astype(dtype)
    reach: Array = rng.choice([20.0, 80.0, np.inf], LANES).astype(dtype)
    lengths = squared(a, b)
    row_reach = np.minimum(lanes, np.maximum(lengths, core_b))
    column_reach = np.minimum(reach, np.maximum(lengths, core_a[:, None]).min(axis=0))
    through_b = widened(np.maximum(inner[:, None], core_b))
    through_a = widened(np.maximum(reach, core_a[:, None]))  # the reach before this tile: what is stored is less
    mask = np.zeros(LANES, np.uint16)
    widen: Array = np.array([RATIO, EXTRA], dtype)
    largest = tile(a, b, np.stack((widened(inner), widened(core_a))), core_a, core_b, lanes, reach, widen, mask)
    np.testing.assert_array_equal(lanes, row_reach)
    np.testing.assert_array_equal(reach, column_reach)
    assert largest == column_reach.max() > column_reach.min()
    marked = (mask[:, None] >> np.arange(LANES)) & 1
    np.testing.assert_array_equal(marked, lengths <= np.minimum(through_b, through_a))


def panels_of(data: Array, core: Array, first: list[int], group: list[int]) -> Panels:
    low, high = (np.ascontiguousarray(choose(data, axis=2).T) for choose in (np.min, np.max))
    node = np.arange(core.size, dtype=np.int32).reshape(core.shape)
    return Panels(data, low, high, core, node, np.array(first, np.intp), np.array(group, np.intp))


def candidates(panels: Panels, room: int, per_point: int, state: tuple[Array, Array, int, int]) -> Any:
    """One call for the only pair; `state` is (start, dense, pair, n_dense)."""
    u, v = np.empty(room, np.int32), np.empty(room, np.int32)
    widening = (panels.data.dtype.type(RATIO), panels.data.dtype.type(EXTRA))
    start, dense, pair, n_dense = state
    pair, n_dense = near_candidates(panels, np.array([[0, 1]]), *widening, per_point, u, v, start, dense, pair, n_dense)
    return u, v, pair, n_dense


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("span", [6, 20, 60])
@pytest.mark.parametrize("seed", range(10))
def test_exactly_the_edges_within_the_widened_paths_are_listed(seed: int, span: int, dtype: type) -> None:
    """Between two panels; many lengths lie between a path and the widened one."""
    rng = np.random.default_rng(seed)
    data: Array = rng.integers(0, span, (2, 2, LANES)).astype(dtype)
    core: Array = rng.integers(0, 2 * span, (2, LANES)).astype(dtype)
    lengths, core_a, core_b = squared(*data), core[0][:, None], core[1]
    row_reach = np.maximum(lengths, core_b).min(axis=1)[:, None]
    column_reach = np.maximum(lengths, core_a).min(axis=0)
    bridge = np.maximum(row_reach, core_a).min()
    paths = np.minimum(np.maximum(bridge, np.maximum(core_a, core_b)), np.maximum(row_reach, core_b))
    paths = np.minimum(paths, np.maximum(column_reach, core_a))
    expected = np.argwhere(lengths <= widened(paths)) + np.array([0, LANES])
    assert ((paths < lengths) & (lengths <= widened(paths))).any()
    start, dense = np.zeros(2, np.intp), np.empty((1, 3), np.intp)
    u, v, pair, n_dense = candidates(panels_of(data, core, [0, 1, 2], [0, 1, 2]), LANES**2, LANES, (start, dense, 0, 0))
    assert (pair, n_dense) == (1, 0)
    np.testing.assert_array_equal(sorted(zip(u[: start[1]], v[: start[1]], strict=True)), expected)


def test_what_is_dense_is_listed_once_however_often_room_runs_out() -> None:
    """The list has a place for every two sets: a second time it would be written beyond its end."""
    data = np.zeros((3, 1, LANES), np.float32)
    data[:, 0] = 10.0 * np.arange(LANES)
    core = np.repeat(
        np.array([[1e6], [0.0], [1e6]], np.float32), LANES, axis=1
    )  # in the first set no path excludes any edge
    panels = panels_of(data, core, [0, 1, 2, 3], [0, 2, 3])
    start, dense = np.zeros(2, np.intp), np.full((4, 3), -1, np.intp)
    pair, n_dense, room, calls = 0, 0, 2, 0
    while pair == 0:
        u, v, pair, n_dense = candidates(panels, room, 4, (start, dense, pair, n_dense))
        assert n_dense == pair  # what is begun again is not counted
        room, calls = 2 * room, calls + 1
    assert calls == 4
    np.testing.assert_array_equal(dense[:n_dense], [[0, 0, 2]])
    assert (dense[2:] == -1).all()
    same = np.arange(LANES)
    np.testing.assert_array_equal((u[: start[1]], v[: start[1]]), (LANES + same, 2 * LANES + same))
