"""Train against validation, point by point: levels, power, and the pieces against slow definitions."""

import itertools

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from hpcore import henze_penrose, pairwise_henze_penrose
from hpcore._tree_scores import foreign_edge_shares
from hpcore.errors import InvalidInput
from hpcore.membership import membership_test, shift_test
from tests import oracle

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def sets(
    generator: np.random.Generator, n: int = 20, n_classes: int = 3, memorized: float = 0.0, shift: float = 0.0
) -> tuple[Floats, Floats, Labels]:
    """Training and validation points; `memorized` pulls the training classes apart, `shift` moves all of validation."""
    labels = np.repeat(np.arange(n_classes), n)
    train, validation = generator.normal(size=(2, labels.size, 5))
    train[np.arange(labels.size), labels] += memorized
    return train, validation + shift, labels


class TestRebuild:
    def test_statistic_is_the_gap_of_mean_separation(self) -> None:
        train, validation, labels = sets(np.random.default_rng(0), memorized=1.0)
        result = membership_test(train, validation, labels, labels, n_resamples=19, rng=0, device="cpu")
        gap = pairwise_henze_penrose(train, labels).statistic.mean()
        gap -= pairwise_henze_penrose(validation, labels).statistic.mean()
        assert result.statistic == pytest.approx(gap, abs=1e-14)
        assert result.alternative == "greater"

    def test_memorized_points_are_found(self) -> None:
        train, validation, labels = sets(np.random.default_rng(1), memorized=2.5)
        result = membership_test(train, validation, labels, labels, n_resamples=99, rng=0, device="cpu")
        assert result.p_value == 1 / 100
        assert result.n_resamples == 99

    def test_stops_early_without_an_effect(self) -> None:
        train, validation, labels = sets(np.random.default_rng(2), memorized=-1.0)
        result = membership_test(train, validation, labels, labels, n_exceedances=5, rng=0, device="cpu")
        assert result.n_resamples is not None
        assert result.n_resamples < 50
        assert result.p_value == pytest.approx(5 / result.n_resamples)

    def test_same_seed_same_answer(self) -> None:
        train, validation, labels = sets(np.random.default_rng(3))
        first, second = (
            membership_test(train, validation, labels, labels, n_resamples=19, rng=8, device="cpu") for _ in range(2)
        )
        assert first == second

    def test_common_shift_is_no_memorization(self) -> None:
        train, validation, labels = sets(np.random.default_rng(4), shift=50.0)
        result = membership_test(train, validation, labels, labels, n_resamples=39, rng=0, device="cpu")
        assert result.p_value is not None
        assert result.p_value > 0.05

    def test_progress_may_stop(self) -> None:
        train, validation, labels = sets(np.random.default_rng(5))

        def stop(stage: str, done: int, total: int) -> None:
            assert (stage, done, total) == ("membership", 1, 999)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            membership_test(train, validation, labels, labels, on_progress=stop, device="cpu")

    def test_sets_of_different_size(self) -> None:
        train, validation, labels = sets(np.random.default_rng(6), memorized=3.0)
        kept = np.flatnonzero(np.arange(labels.size) % 2 == 0)
        result = membership_test(train, validation[kept], labels, labels[kept], n_resamples=39, rng=0, device="cpu")
        assert result.p_value == 1 / 40


class TestScore:
    def test_scores_by_hand_from_the_trees(self) -> None:
        generator = np.random.default_rng(7)
        labels = np.repeat(np.arange(3), 12)
        points = generator.normal(size=(36, 2))
        expected = np.zeros(36)
        for pair in itertools.combinations(range(3), 2):
            members = np.flatnonzero(np.isin(labels, pair))
            cross, degree = np.zeros(members.size), np.zeros(members.size)
            for i, j in oracle.prim(oracle.squared_distances(points[members])):
                differs = labels[members[i]] != labels[members[j]]
                for end in (i, j):
                    degree[end] += 1
                    cross[end] += differs
            expected[members] += cross / degree
        found = foreign_edge_shares(points, labels, 3, "euclidean", lambda *_: None)
        np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_repeated_points_share_their_expected_edges(self) -> None:
        """Two copies of one class and one of the other at the origin, a lone point far away."""
        points = np.array([[0.0], [0.0], [0.0], [5.0]])
        labels = np.array([0, 0, 1, 1])
        # Within the origin each copy has expected degree 4/3; the far point attaches to each copy with chance 1/3.
        # Copies of class 0 meet the class-1 copy with chance 2/3 and the far point with 1/3.
        expected = [(2 / 3 + 1 / 3) / (4 / 3 + 1 / 3)] * 2 + [(4 / 3) / (5 / 3), 2 / 3]
        found = foreign_edge_shares(points, labels, 2, "euclidean", lambda *_: None)
        np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_level_and_power(self) -> None:
        generator = np.random.default_rng(8)
        rejected = {0.0: 0, 1.5: 0}
        for memorized in rejected:
            for _ in range(60):
                train, validation, labels = sets(generator, n=15, memorized=memorized)
                result = membership_test(
                    train, validation, labels, labels, method="score", n_resamples=199, rng=generator
                )
                assert result.p_value is not None
                rejected[memorized] += result.p_value <= 0.05
        assert rejected[0.0] <= 9  # binomial(60, .05): more than 9 has probability 6e-4
        assert rejected[1.5] >= 40

    def test_null_mean_is_zero(self) -> None:
        train, validation, labels = sets(np.random.default_rng(9))
        forward = membership_test(train, validation, labels, labels, method="score", n_resamples=1999, rng=0)
        backward = membership_test(validation, train, labels, labels, method="score", n_resamples=1999, rng=0)
        assert forward.statistic == pytest.approx(-backward.statistic)
        assert forward.p_value is not None
        assert backward.p_value is not None
        assert forward.p_value + backward.p_value == pytest.approx(1.0, abs=0.05)


class TestShift:
    def test_stouffer_over_the_classes(self) -> None:
        train, validation, labels = sets(np.random.default_rng(10))
        z = [henze_penrose(train[labels == k], validation[labels == k]).z for k in range(3)]
        result = shift_test(train, validation, labels, labels)
        assert result.statistic == pytest.approx(-sum(z) / np.sqrt(3))
        assert result.p_value == pytest.approx(scipy.stats.norm.sf(result.statistic))

    def test_sees_a_shift_that_is_no_memorization(self) -> None:
        train, validation, labels = sets(np.random.default_rng(11), shift=3.0)
        p_value = shift_test(train, validation, labels, labels).p_value
        assert p_value is not None
        assert p_value < 1e-6


class TestInput:
    def test_classes_must_match(self) -> None:
        train, validation, labels = sets(np.random.default_rng(12))
        with pytest.raises(InvalidInput, match="`labels_validation`"):
            membership_test(train, validation, labels, labels + 1)

    def test_widths_must_match(self) -> None:
        train, validation, labels = sets(np.random.default_rng(13))
        with pytest.raises(InvalidInput, match="`validation`"):
            membership_test(train, validation[:, :3], labels, labels)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "exact"}, "`method`"),
            ({"n_resamples": 0}, "`n_resamples`"),
            ({"n_exceedances": 0}, "`n_exceedances`"),
            ({"alternative": "more"}, "`alternative`"),
        ],
    )
    def test_options(self, options: dict[str, object], message: str) -> None:
        train, validation, labels = sets(np.random.default_rng(14))
        with pytest.raises(InvalidInput, match=message):
            membership_test(train, validation, labels, labels, **options)  # type: ignore[arg-type]  # wrong on purpose
