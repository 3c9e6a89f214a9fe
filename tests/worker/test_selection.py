"""Which layers and rows an analysis uses."""

from typing import Any

import numpy as np
import pytest

from contract.schemas import AnalysisRequest, LayerSelection, ProblemError
from worker.activations import ActivationFile
from worker.selection import draw_rows, fold_seed, rows_per_class, select_layers

NAMES = ["0.Input", "1.Conv", "block[0]", "block0", "10.Conv", "Conv.10"]


def selected(include: list[str], exclude: list[str] = []) -> list[str]:  # noqa: B006 - never changed
    return select_layers(NAMES, LayerSelection(include=include, exclude=exclude))


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*"], [], NAMES),
        (["1*"], [], ["1.Conv", "10.Conv"]),
        (["?.Conv"], [], ["1.Conv"]),
        (["Conv.10", "0.Input"], [], ["0.Input", "Conv.10"]),
        (["*"], ["*Conv*"], ["0.Input", "block[0]", "block0"]),
        (["*Conv"], ["1.Conv"], ["10.Conv"]),
        (["[01].*"], [], ["0.Input", "1.Conv"]),
        (["block[0]"], [], ["block[0]", "block0"]),  # a name, and a pattern that block0 fits
        (["*"], ["block[0]"], ["0.Input", "1.Conv", "10.Conv", "Conv.10"]),
        (["*.conv", "0.Input"], [], ["0.Input"]),  # case matters
    ],
)
def test_names_and_globs(include: list[str], exclude: list[str], expected: list[str]) -> None:
    assert selected(include, exclude) == expected


@pytest.mark.parametrize(("include", "exclude"), [(["1.Cnov"], []), (["*"], ["1.Cnov"])])
def test_an_unknown_name_is_refused_with_the_nearest(include: list[str], exclude: list[str]) -> None:
    with pytest.raises(ProblemError) as caught:
        selected(include, exclude)
    assert caught.value.problem.code == "unknown_layer"
    assert "'1.Conv'" in caught.value.problem.detail


@pytest.mark.parametrize(("include", "exclude"), [(["nothing*"], []), (["*"], ["*"])])
def test_an_empty_selection_is_refused(include: list[str], exclude: list[str]) -> None:
    with pytest.raises(ProblemError) as caught:
        selected(include, exclude)
    assert caught.value.problem.code == "no_layers"


def test_many_globs_of_many_layers_stay_quick() -> None:
    # Each pattern is compiled once. Once for each layer would be 3 million compilations, many minutes.
    names = [f"block{i}.Conv" for i in range(1000)]
    patterns = [f"x{i}*y*z*" for i in range(3000)]
    assert select_layers(names, LayerSelection(include=["*", *patterns])) == names


def study_file(*codes: int) -> ActivationFile:
    array: Any = np.array(codes)
    return ActivationFile(tuple(map(str, range(array.max() + 1))), array, {})


def request(per_class: Any) -> AnalysisRequest:
    return AnalysisRequest.model_validate(
        {"inputs": [{"artifact": "sha256:" + "0" * 64}], "sampling": {"per_class": per_class}}
    )


def test_equal_is_the_smallest_class_of_all_inputs() -> None:
    files = [study_file(0, 0, 0, 1, 1, 1, 1), study_file(0, 0, 0, 0, 0, 1, 1)]
    assert rows_per_class(request("equal"), files) == 2
    assert rows_per_class(request("all"), files) is None
    assert rows_per_class(request(2), files) == 2
    with pytest.raises(ProblemError) as caught:
        rows_per_class(request(3), files)
    assert caught.value.problem.code == "too_few_samples"
    assert "2 rows" in caught.value.problem.detail


class TestDraw:
    codes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 80, 30]))

    def rows(self, per_class: int | None, seed: int = 0, split: Any = "train") -> Any:
        return draw_rows(self.codes, per_class, seed=seed, split=split)

    def test_every_class_gets_its_number_in_the_order_of_the_file(self) -> None:
        rows = self.rows(30)
        assert np.bincount(self.codes[rows]).tolist() == [30, 30, 30]
        assert (np.diff(rows) > 0).all()

    def test_is_seeded_and_the_splits_are_independent(self) -> None:
        assert self.rows(20).tolist() == self.rows(20).tolist()
        assert self.rows(20).tolist() != self.rows(20, seed=1).tolist()
        assert self.rows(20).tolist() != self.rows(20, split="validation").tolist()

    def test_nothing_is_drawn_where_all_rows_are_used(self) -> None:
        assert self.rows(None) is None
        assert draw_rows(np.array([0, 1, 1, 0]), 2, seed=0, split="train") is None

    def test_a_class_is_drawn_alike_whatever_the_other_classes_are(self) -> None:
        other = np.where(self.codes == 2, 1, self.codes)
        drawn, again = self.rows(20), draw_rows(other, 20, seed=0, split="train")
        assert again is not None
        assert drawn[self.codes[drawn] == 0].tolist() == again[other[again] == 0].tolist()

    def test_every_row_has_the_same_chance(self) -> None:
        chosen = np.concatenate([self.rows(10, seed=seed) for seed in range(300)])
        uses = np.bincount(chosen, minlength=len(self.codes))[self.codes == 1]
        # 300 draws of 10 out of 80: mean 37.5, sd 5.7
        assert 37.5 - 5 * 5.7 < uses.min() < uses.max() < 37.5 + 5 * 5.7


def test_fold_seeds_are_the_splits_own_and_fit_64_bits() -> None:
    seeds = {fold_seed(seed, split) for seed in (0, 1, 2**63 - 1) for split in ("train", "validation")}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**64 for seed in seeds)
