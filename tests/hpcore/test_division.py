"""Tasks between slabs in pieces for several threads: each node once, no thread without work, and the same counts."""

from __future__ import annotations

import weakref
from itertools import combinations, combinations_with_replacement, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcore import _candidates, _mst_cpu, _plan, spanning_tree
from hpcore._candidates import Cross, joined
from hpcore._layout import Slab
from hpcore._plan import divide
from hpcore.threads import Together
from tests import oracle
from tests.hpcore.hard_data import HARD_DATA, relu
from tests.hpcore.made_forests import counts, forests


@given(
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=12),
    number=st.integers(1, 40),
    unit=st.sampled_from([1, 16]),
)
def test_pieces_hold_every_node_once(sizes: list[int], number: int, unit: int) -> None:
    cuts = np.cumsum([100, *sizes]).tolist()
    parts = tuple(slice(a, b) for a, b in pairwise(cuts))
    slab = Slab(3, 4, parts)
    pieces = slab.pieces(number, unit)
    held = [part for piece in pieces for part in piece.parts]
    assert [node for part in held for node in range(part.start, part.stop)] == list(range(100, 100 + sum(sizes)))
    assert all((piece.first, piece.stop) == (3, 4) for piece in pieces)
    for piece in pieces:
        for part in piece.parts:
            whole = next(each for each in parts if each.start <= part.start < each.stop)
            assert part.stop <= whole.stop
            assert (part.start - whole.start) % unit == 0
    assert Slab(3, 5, parts[:1]).pieces(number, unit) == [Slab(3, 5, parts[:1])]  # classes stay together


@pytest.mark.parametrize("n_threads", [1, 2, 3, 16])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_no_thread_waits_long_for_the_last(n_classes: int, n_threads: int) -> None:
    """Tasks are taken in order by whichever thread is free first: the last ends a smallest piece after its share."""
    slabs = [Slab(c, c + 1, (slice(2048 * c, 2048 * c + 2048),)) for c in range(n_classes)]
    tasks = list(combinations(slabs, 2))
    groups = divide(tasks, n_threads, 16)
    assert [[right] * len(pieces) for pieces, (_, right) in zip(groups, tasks, strict=True)] == [
        [right for _, right in pieces] for pieces in groups
    ]
    busy = [0.0] * n_threads
    for left, right in (piece for pieces in groups for piece in pieces):
        busy[busy.index(min(busy))] += left.n_nodes * right.n_nodes
    assert max(busy) <= len(tasks) * 2048**2 / n_threads + 2048 * 128
    if n_threads == 1:
        assert groups == [[task] for task in tasks]


def test_small_tasks_stay_whole() -> None:
    slabs = [Slab(c, c + 1, (slice(200 * c, 200 * c + 200),)) for c in range(2)]
    assert divide([(slabs[0], slabs[1])], 8, 16) == [[(slabs[0], slabs[1])]]
    assert divide([], 8, 16) == []
    several = Slab(0, 9, (slice(0, 900),))
    own = list(combinations_with_replacement([several], 2))
    assert divide(own, 8, 16) == [own]


@pytest.mark.parametrize("by", ["fixed_point", "bytes", "float32", "float64"])
@pytest.mark.parametrize("name", ["relu", "sub-clusters", "near duplicates", "outliers", "relu + 1e4"])
def test_pieces_change_nothing(name: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two to four classes, whole and in pieces of a few rows, in one part and in several."""
    rows = HARD_DATA[name](np.random.default_rng(8), 70)
    for n_classes, part_size in ((2, 256), (4, 256), (4, 48)):
        labels = np.arange(280) * n_classes // 280
        monkeypatch.setattr(spanning_tree, "PART_SIZE", part_size)
        monkeypatch.setattr(_plan, "_SMALLEST_PIECE", 1000)
        whole = counts(rows, labels, n_threads=5, by=by)
        monkeypatch.setattr(_plan, "_SMALLEST_PIECE", 16)
        n_tasks = len(list(forests(rows, labels, n_threads=5, by=by).between_classes()))
        assert n_tasks > n_classes * (n_classes - 1) // 2
        pieces = counts(rows, labels, n_threads=5, by=by)
        for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
            np.testing.assert_array_equal(getattr(pieces, field), getattr(whole, field))
        np.testing.assert_array_equal(pieces.count, oracle.pairwise_cross_edges(rows, labels))


@pytest.mark.parametrize("name", ["softmax", "softmax, logits x8"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_pieces_of_few_features_change_nothing(name: str, n_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One class in several sets of panels: a pair of classes is shared among threads by these."""
    rows = HARD_DATA[name](np.random.default_rng(8), 70)
    labels = np.arange(280) * n_classes // 280
    monkeypatch.setattr(spanning_tree, "PART_SIZE", 32)
    n_pairs = n_classes * (n_classes - 1) // 2
    assert len(list(forests(rows, labels).between_classes())) <= n_pairs
    assert len(list(forests(rows, labels, n_threads=5).between_classes())) > 2 * n_pairs
    for by in (None, "direct64"):
        found = counts(rows, labels, n_threads=5, by=by)
        np.testing.assert_array_equal(found.count, oracle.pairwise_cross_edges(rows, labels))


def test_dense_pieces_of_few_features_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no candidates allowed every two sets go through Prim, and the sets are named by their places among all."""
    rows = HARD_DATA["softmax"](np.random.default_rng(8), 70)
    labels = np.arange(280) // 70
    monkeypatch.setattr(spanning_tree, "PART_SIZE", 32)
    for module in (_mst_cpu, _candidates):
        monkeypatch.setattr(module, "CANDIDATES_PER_POINT", 0)
    found = counts(rows, labels, n_threads=5)
    np.testing.assert_array_equal(found.count, oracle.pairwise_cross_edges(rows, labels))


@pytest.mark.parametrize("n_threads", [1, 4])
@pytest.mark.parametrize("budget", [None, 2_000_000])
@pytest.mark.parametrize("d", [10, 64])
def test_trees_of_divided_classes_are_those_of_whole_ones(
    d: int, budget: int | None, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two classes in several parts and two in one; what is complete is reported as it is."""
    rng = np.random.default_rng(4)
    rows, labels = relu(rng, 60, d), np.repeat(np.arange(4), [100, 40, 60, 40])
    whole = forests(rows, labels).trees
    monkeypatch.setattr(spanning_tree, "PART_SIZE", 48)
    done: list[int] = []

    def report(_stage: str, number: int, _total: int) -> None:
        done.append(number)

    made = forests(rows, labels, n_threads=n_threads, budget=budget, report=report)
    for tree, expected in zip(made.trees, whole, strict=True):
        for field in ("u", "v", "weight", "in_tree", "core"):
            np.testing.assert_array_equal(getattr(tree, field), getattr(expected, field))
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 4)
    assert 2 in done


def test_pieces_find_little_more_than_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = relu(np.random.default_rng(0), 300), np.repeat(np.arange(2), 600)

    def n_candidates(n_threads: int) -> int:
        found = forests(rows, labels, n_threads=n_threads).run(lambda cross: cross)
        (only,) = found  # the pair once, whoever found its edges
        return int(only.u.shape[0])

    assert n_candidates(1) <= n_candidates(4) <= 1.5 * n_candidates(1)


def test_only_the_last_piece_answers_in_the_order_of_the_pieces() -> None:
    pairs = np.array([[0, 1], [0, 2]])

    def found(number: int) -> Cross:
        ends = np.array([10 * number, 10 * number + 1])
        return Cross(pairs, np.array([0, 1, 2]), ends, ends + 100, ends.astype(float))

    tasks = Together([lambda number=number: found(number) for number in range(3)], joined).tasks()  # type: ignore[misc]  # mypy cannot infer it
    assert tasks[1]() is None
    assert tasks[2]() is None
    cross = tasks[0]()
    assert cross is not None
    assert cross.u.tolist() == [0, 10, 20, 1, 11, 21]
    assert cross.v.tolist() == [100, 110, 120, 101, 111, 121]
    assert cross.weight.tolist() == [0.0, 10.0, 20.0, 1.0, 11.0, 21.0]
    assert cross.start.tolist() == [0, 3, 6]
    gone = weakref.ref(cross)
    del cross
    assert gone() is None  # and nothing is kept in the tasks


def test_a_failing_piece_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room")

    rows, labels = relu(np.random.default_rng(0), 100), np.repeat(np.arange(2), 200)
    made = forests(rows, labels, n_threads=3)
    monkeypatch.setattr(_candidates, "Reaches", type("Reaches", (), {"open": fail}))
    with pytest.raises(MemoryError, match="no room"):
        list(made.run(lambda cross: cross))
