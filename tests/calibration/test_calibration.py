"""A short, seeded piece of the calibration: each method must stay in its band, and the page must say what was found."""

import itertools
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from calibration.chart import rejection_chart
from calibration.grid import scenarios
from calibration.page import write_page
from calibration.simulate import Outcome, run
from hpcore import pairwise_henze_penrose
from hpcore.inference import class_jackknife_test
from hpcore.permutation import permutation_test


def place(name: str, kind: str, truth: str, n_classes: int) -> int:
    return next(
        i
        for i, scenario in enumerate(scenarios())
        if (scenario.name, scenario.kind, scenario.truth, scenario.n_classes) == (name, kind, truth, n_classes)
    )


class TestBands:
    """Bands are wide enough for a seeded run to pass by far, and narrow enough for a broken variance to fail."""

    def test_class_pairs_are_dependent_and_the_paper_test_does_not_know(self) -> None:
        """K = 10, n = 50, d = 2, no separation: sd .099, variance of the mean 3.7 times that of independent pairs."""
        generator = np.random.default_rng(0)
        labels = np.repeat(np.arange(10), 50)
        pairs = np.array(list(itertools.combinations(range(10), 2)))
        values = np.array(
            [pairwise_henze_penrose(generator.normal(size=(500, 2)), labels, n_threads=1).statistic for _ in range(300)]
        )
        assert values.std() == pytest.approx(0.099, abs=0.003)
        inflation = values.mean(axis=1).var(ddof=1) / (values.var() / 45)
        assert inflation == pytest.approx(3.7, abs=1.0)
        rejected = {"permutation": 0, "sign_flip": 0, "class_jackknife": 0}
        for a, b in zip(values[::2], values[1::2], strict=True):
            results = {
                "permutation": permutation_test(a, b, alternative="greater", rng=0),
                "sign_flip": permutation_test(a, b, paired=True, alternative="greater", rng=0),
                "class_jackknife": class_jackknife_test(a, b, pairs, alternative="greater"),
            }
            for name, result in results.items():
                assert result.p_value is not None
                rejected[name] += result.p_value <= 0.05
        assert rejected["permutation"] / 150 > 0.10
        assert rejected["sign_flip"] / 150 > 0.10
        assert rejected["class_jackknife"] / 150 <= 0.07

    @pytest.mark.parametrize(("n_classes", "repeats"), [(2, 100), (3, 60)])
    def test_subsample_keeps_its_level_for_a_step(self, n_classes: int, repeats: int) -> None:
        outcomes = {o.method: o for o in run(place("no separation", "step", "null", n_classes), repeats=repeats)}
        subsample = outcomes["subsample"]
        assert subsample.rejected_05 <= 0.12
        assert subsample.rejected_01 <= 0.04
        assert subsample.variance_ratio is not None
        assert 0.55 < subsample.variance_ratio < 1.4
        assert subsample.coverage is not None
        assert subsample.coverage > 0.88

    def test_each_method_answers_its_own_question(self) -> None:
        """Classes placed anew in each layer: a difference for these classes, none in their population."""
        outcomes = {o.method: o for o in run(place("other classes in each layer", "step", "other_null", 5), repeats=40)}
        assert outcomes["subsample"].rejected_05 > 0.2
        assert outcomes["class_jackknife"].rejected_05 <= 0.12

    def test_gap_on_unseen_data_and_on_memorized_data(self) -> None:
        shift = {o.method: o for o in run(place("common shift", "gap", "null", 5), repeats=25)}
        for method in ("subsample", "class_jackknife"):
            assert shift[method].rejected_05 <= 0.15
        assert shift["same_class_friedman_rafsky"].rejected_05 > 0.8
        found = {o.method: o for o in run(place("random labels memorized", "gap", "effect", 5), repeats=20)}
        assert found["subsample"].rejected_05 > 0.6


def test_bootstrap_points_look_separated() -> None:
    """Why nothing here draws with replacement: n = 200, d = 10, one distribution, E[HP] = .377 instead of 0."""
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1], 200)
    values = []
    for _ in range(10):
        points = generator.normal(size=(400, 10))
        drawn = np.concatenate([generator.integers(0, 200, 200), 200 + generator.integers(0, 200, 200)])
        values.append(pairwise_henze_penrose(points[drawn], labels).statistic[0])
    assert np.mean(values) == pytest.approx(0.377, abs=0.03)


class TestRuns:
    def test_same_seed_same_outcome(self) -> None:
        assert run(0, repeats=3, seed=5) == run(0, repeats=3, seed=5)
        assert run(0, repeats=3, seed=5) != run(0, repeats=3, seed=6)

    def test_the_grid_covers_what_the_page_promises(self) -> None:
        grid = scenarios()
        keys = [(scenario.name, scenario.kind, scenario.truth, scenario.n_classes) for scenario in grid]
        assert len(keys) == len(set(keys)), "a scenario is found again by these"
        assert {2, 3, 5, 10, 20} <= {scenario.n_classes for scenario in grid}
        assert max(scenario.dimension for scenario in grid) >= 300
        assert max(max(scenario.sizes) for scenario in grid) >= 1000
        assert any(len(set(scenario.sizes)) > 1 for scenario in grid)

    def test_every_scenario_draws_what_it_says(self) -> None:
        for scenario in scenarios():
            sample = scenario.draw(scenario, np.random.default_rng(0))
            assert np.bincount(sample.labels_first).tolist() == list(scenario.sizes)
            assert np.bincount(sample.labels_second).tolist() == list(scenario.sizes)
            assert sample.first.shape == sample.second.shape == (sum(scenario.sizes), scenario.dimension)
            if scenario.kind == "step":
                assert np.array_equal(sample.labels_first, sample.labels_second)


class TestPage:
    def outcome(self, **changes: object) -> Outcome:
        values: dict[str, object] = {
            "scenario": "no <separation>",
            "kind": "step",
            "truth": "null",
            "n_classes": 3,
            "n": "80",
            "dimension": 5,
            "method": "subsample",
            "repeats": 100,
            "available": 100,
            "rejected_05": 0.04,
            "rejected_01": 0.01,
            "mean_difference": 0.0,
            "variance_ratio": 0.98,
            "coverage": 0.95,
        }
        return Outcome(**{**values, **changes})  # type: ignore[arg-type]  # plain values of the right kind

    def test_rates_with_their_errors(self, tmp_path: Path) -> None:
        page = tmp_path / "calibration.md"
        (tmp_path / "pictures").mkdir()
        write_page([self.outcome(), self.outcome(method="permutation", rejected_05=0.17, variance_ratio=None)], page)
        text = page.read_text()
        assert "| `subsample` | 100 | 0.040 ± 0.022 | 0.010 | 0.000 | 0.98 | 0.950 |" in text
        assert "| `permutation` | 100 | 0.170 ± 0.038 |" in text
        assert (tmp_path / "pictures" / "calibration-step.svg").exists()

    def test_the_picture_is_well_formed_and_to_scale(self) -> None:
        outcomes = [self.outcome(), self.outcome(method="permutation", rejected_05=0.25)]
        root = ElementTree.fromstring(rejection_chart(outcomes, title="A & B"))
        marks = [element for element in root.iter() if element.tag.endswith("circle")]
        # The legend's mark and the rate .04 on an axis from 370 (0) to 940 (.5).
        assert [float(mark.attrib["cx"]) for mark in marks] == pytest.approx([16, 370 + 570 * 0.08], abs=0.1)

    def test_the_published_page_is_that_of_the_published_numbers(self, tmp_path: Path) -> None:
        docs = Path(__file__).parents[2] / "docs"
        rows = json.loads((docs / "calibration.json").read_text())["outcomes"]
        (tmp_path / "pictures").mkdir()
        write_page([Outcome(**row) for row in rows], tmp_path / "calibration.md")
        for name in ("calibration.md", "pictures/calibration-step.svg", "pictures/calibration-gap.svg"):
            assert (tmp_path / name).read_text() == (docs / name).read_text(), "run `python -m calibration --page-only`"
