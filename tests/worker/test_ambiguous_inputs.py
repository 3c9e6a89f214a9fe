"""Layers whose names or values look the same, and inputs with other numbers of rows: kept apart, or said."""

from pathlib import Path

import numpy as np
import pytest

from tests.worker import files
from tests.worker.analyses import LAYERS, Study

# Equal as file names, as identifiers of a page, in small letters, to the eye, or behind Unicode's normal form.
ALIKE = {
    "separators": ["block/1", "block_1", "block.1", "block 1"],
    "small and capital letters": ["Conv", "conv", "CONV"],
    "space at the ends": ["conv", " conv", "conv "],
    "composed and decomposed": ["caf\u00e9", "cafe\u0301"],
    "markup": ["<b>conv</b>", "&lt;b&gt;conv&lt;/b&gt;", "conv"],
    "globs": ["block[0]", "block0", "block*"],
}


@pytest.mark.parametrize("names", ALIKE.values(), ids=ALIKE)
def test_layers_with_similar_names_are_different_layers(tmp_path: Path, names: list[str]) -> None:
    arrays = files.study_arrays(n_per_class=6)
    generator = np.random.default_rng(0)
    apart = {name: number * arrays["labels"][:, None] for number, name in enumerate(names)}
    layers = {name: generator.normal(size=(18, 3)) + shift for name, shift in apart.items()}
    report = Study(tmp_path).add({"labels": arrays["labels"], **layers}).report()
    assert report.layers == names
    for name in names:
        (tmp_path / "alone").mkdir(exist_ok=True)
        alone = Study(tmp_path / "alone").add({"labels": arrays["labels"], name: layers[name]}).report()
        (found,) = [item for item in report.separations if item.layer == name]
        assert found.pairs.statistic == alone.separations[0].pairs.statistic, name


def test_two_layers_of_the_same_values_have_the_same_numbers(tmp_path: Path) -> None:
    arrays = files.study_arrays(n_per_class=6)
    report = Study(tmp_path).add({**arrays, "1.Alias": arrays["1.Conv"]}).report()
    numbers = {item.layer: item.pairs.statistic for item in report.separations}
    assert numbers["1.Alias"] == numbers["1.Conv"]
    assert report.layers == [*LAYERS, "1.Alias"]


@pytest.mark.parametrize(
    ("role", "rows", "warned"),
    [
        ({"state": "untrained"}, 9, True),  # the same images, so the same number is expected
        ({"state": "untrained"}, 12, False),
        ({"split": "validation"}, 9, False),
        ({"instance": "1"}, 9, False),
    ],
)
def test_states_with_other_numbers_of_rows_are_warned_of(
    tmp_path: Path, role: dict[str, str], rows: int, warned: bool
) -> None:
    study = Study(tmp_path).add(files.study_arrays(n_per_class=12))
    study.add(files.study_arrays(n_per_class=rows), **role)
    codes = {warning.code for warning in study.report().warnings}
    assert ("row_order" in codes) is warned


def test_more_rows_than_one_input_has_are_refused(tmp_path: Path) -> None:
    study = Study(tmp_path).add(files.study_arrays(n_per_class=12))
    study.add(files.study_arrays(1, n_per_class=9), state="untrained")
    problem = study.refused(sampling={"per_class": 10})
    assert (problem.code, "only 9 rows" in problem.detail) == ("too_few_samples", True)
