"""The cost model: what must hold whatever the constants are."""

from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import costs
from contract.shapes import Cost, Processor, Shape
from hpcore import folds

shapes = st.builds(
    lambda n, classes, features, dtype, metric: Shape(n * classes, classes, features, n, dtype, metric),
    st.integers(2, 5000),
    st.integers(2, 1000),
    st.integers(1, 30_000),
    st.sampled_from(["float16", "bfloat16", "float32", "float64", "int8", "int64"]),
    st.sampled_from(["euclidean", "cosine"]),
)
processors = st.builds(Processor, st.integers(1, 64))


@given(shapes, processors)
def test_every_unit_costs_something(shape: Shape, processor: Processor) -> None:
    units = [
        costs.reading(shape),
        costs.pairs(shape, processor),
        costs.class_trees(shape, processor),
        costs.pair_block(shape, 1, processor),
        costs.trend(shape, processor),
        costs.further_draws(shape, 2, processor),
        costs.membership(shape, shape, "score", processor),
        costs.membership(shape, shape, "rebuild", processor),
        costs.shift(shape, shape),
        costs.pair_tests(shape.pairs, 10, 50_000),
        costs.assembly(3, shape.pairs, 10),
    ]
    assert all(unit.seconds > 0 and unit.memory_bytes > 0 for unit in units)


@given(shapes, processors)
def test_more_rows_and_angles_cost_no_less_and_more_threads_no_more(shape: Shape, processor: Processor) -> None:
    base = costs.pairs(shape, processor)
    for more in (
        replace(shape, rows=2 * shape.rows, smallest=2 * shape.smallest),
        replace(shape, metric="cosine") if shape.features > costs.LARGEST_DIRECT else shape,
    ):
        found = costs.pairs(more, processor)
        assert found.seconds >= base.seconds
        assert found.memory_bytes >= base.memory_bytes
    assert costs.pairs(shape, Processor(2 * processor.threads)).seconds <= base.seconds


@given(shapes, st.integers(2, 50))
def test_a_layer_in_blocks_costs_more_than_the_layer_but_no_pair_twice(shape: Shape, n_blocks: int) -> None:
    n_blocks = min(n_blocks, shape.pairs)
    bounds = [shape.pairs * i // n_blocks for i in range(n_blocks + 1)]
    blocks = [costs.pair_block(shape, b - a).seconds for a, b in pairwise(bounds)]
    alone = costs.pair_block(shape, shape.pairs).seconds
    overhead = costs.pair_block(shape, 0).seconds
    assert sum(blocks) == pytest.approx(alone + (n_blocks - 1) * overhead)
    assert costs.class_trees(shape).seconds + sum(blocks) >= costs.pairs(shape).seconds


@pytest.mark.parametrize("smallest", [2, 31, 32, 47, 48, 79, 80, 1000])
def test_the_folds_are_those_of_the_core(smallest: int) -> None:
    plan = folds.fold_plan(smallest)
    expected = (0, 0) if plan is None else (plan.n_repeats, plan.n_folds)
    assert costs.fold_plan(Shape(10 * smallest, 10, 64, smallest)) == expected


def test_the_work_on_pairs_is_counted_as_a_loop_would() -> None:
    shape = Shape(rows=60, classes=5, features=64, smallest=12)
    work = costs.work(shape)
    pairs = list(combinations(range(5), 2))
    assert work["pair"] == len(pairs)
    assert work["row_of_pair"] == sum(24 for _ in pairs)
    assert work["distance"] == sum(12 * 12 for _ in pairs) + 5 * 12 * 12 / 2
    assert work["product"] == 64 * work["distance"]


def test_units_one_after_the_other_add_their_times_and_need_the_larger_memory() -> None:
    assert Cost(1.0, 10) + Cost(2.0, 7) == Cost(3.0, 10)
