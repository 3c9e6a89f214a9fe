"""A layer in pieces gives what it gives at once, bit for bit, and its one tree over all points is the oracle's."""

import dataclasses
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import InvalidInput, PairwiseSeparation, pairwise_henze_penrose, spanning_tree
from hpcore import _global_edges as global_edges
from hpcore._layout import PairRange
from hpcore.layer import ClassTrees, PairBlock, class_trees, joined, measure_pairs, pair_block
from tests import oracle


def activations(kind: str, sizes: Sequence[int], seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows: NDArray[Any] = draw.normal(size=(labels.size, 3)) + 0.7 * labels[:, None]
    if kind == "grid":
        rows = draw.integers(0, 4, size=(labels.size, 2))
    elif kind == "wide":
        rows = draw.normal(size=(labels.size, 40)).astype(np.float32)
    elif kind == "copies":
        rows = np.maximum(rows.round(1), 0)
    elif kind == "chains":  # lengths that are tied with the next, and not with the one after
        rows = np.eye(labels.size) * np.sqrt(1.0 + 4e-13 * draw.integers(0, 12, (labels.size, 1)))
    order = draw.permutation(labels.size)
    return rows[order], labels[order]


Piece = TypeVar("Piece", ClassTrees, PairBlock)


def stored(piece: Piece) -> Piece:
    """Write a piece to a file and read it again."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **dataclasses.asdict(piece))
    file.seek(0)
    with np.load(file) as arrays:
        read = {name: array if array.ndim else array.item() for name, array in arrays.items()}
    return type(piece)(**read)


def same(left: PairwiseSeparation, right: PairwiseSeparation) -> bool:
    pairs = zip(dataclasses.astuple(left), dataclasses.astuple(right), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@given(
    kind=st.sampled_from(["normal", "grid", "wide", "copies", "chains"]),
    sizes=st.lists(st.integers(2, 9), min_size=2, max_size=7),
    part_size=st.sampled_from([4, 16, 1024]),
    cuts=st.lists(st.floats(0, 1), max_size=5),
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(["euclidean", "cosine"]),
)
def test_blocks_are_the_whole_bit_for_bit(
    kind: str, sizes: list[int], part_size: int, cuts: list[float], seed: int, metric: str
) -> None:
    rows, labels = activations(kind, sizes, seed)
    whole, overall = measure_pairs(rows, labels, metric=metric, n_threads=1)
    n_pairs = whole.statistic.size
    ends = sorted({0, n_pairs, *(int(cut * n_pairs) for cut in cuts)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spanning_tree, "PART_SIZE", part_size)
        patch.setattr(global_edges, "_FEWEST_WAITING", 3)
        patch.setattr(global_edges, "_WAITING_PER_POINT", 0)
        trees = stored(class_trees(rows, labels, metric=metric))
        blocks = [stored(pair_block(rows, labels, trees, a, b, n_threads=2)) for a, b in pairwise(ends)]
    np.random.default_rng(seed).shuffle(blocks)
    separation, test = joined(trees, blocks)
    assert same(separation, whole)
    assert test == overall
    assert same(whole, pairwise_henze_penrose(rows, labels, metric=metric))


@given(sizes=st.lists(st.integers(2, 7), min_size=2, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_the_tree_over_all_points_is_that_of_an_oracle(sizes: list[int], seed: int) -> None:
    rows, labels = activations("normal", sizes, seed)
    total = labels.size
    crossing = sum(labels[i] != labels[j] for i, j in oracle.prim(oracle.squared_distances(rows)))
    expected = (total - 1) * (1 - (np.array(sizes) * (np.array(sizes) - 1)).sum() / (total * (total - 1)))
    assert measure_pairs(rows, labels)[1].statistic == pytest.approx(1 - crossing / expected, abs=1e-12)


@given(n_classes=st.integers(2, 12), data=st.data())
def test_a_range_holds_all_pairs_of_two_slabs_or_none(n_classes: int, data: st.DataObject) -> None:
    every = [(a, b) for a in range(n_classes) for b in range(a + 1, n_classes)]
    first = data.draw(st.integers(0, len(every) - 1))
    pairs = PairRange(first, data.draw(st.integers(first + 1, len(every))), n_classes)
    wanted = set(every[pairs.first : pairs.stop])
    assert {pair for pair in every if pairs.holds(*pair)} == wanted
    borders = sorted({0, n_classes, *(each for each in pairs.breaks() if each <= n_classes)})
    slabs = [range(a, b) for a, b in pairwise(borders)]
    for i, left in enumerate(slabs):
        for right in slabs[i:]:
            between = {(a, b) for a in left for b in right if a < b}
            assert between <= wanted or not between & wanted


def test_what_does_not_fit_together_is_refused() -> None:
    rows, labels = activations("normal", [4, 5, 6], 1)
    trees = class_trees(rows, labels)
    block = pair_block(rows, labels, trees, 0, 2)
    with pytest.raises(InvalidInput, match="each of the 3 pairs once"):
        joined(trees, [block])
    with pytest.raises(InvalidInput, match="each of the 3 pairs once"):
        joined(trees, [block, pair_block(rows, labels, trees, 1, 3)])
    with pytest.raises(InvalidInput, match="these very activations"):
        pair_block(rows[::-1], labels, trees, 0, 2)
    with pytest.raises(InvalidInput, match="within the 3 pairs; got 2, 4"):
        pair_block(rows, labels, trees, 2, 4)
