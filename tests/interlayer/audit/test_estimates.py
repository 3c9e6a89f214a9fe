"""Numbers and their significance, against SciPy, the numerical core, and simulation."""

import numpy as np
import pytest
from scipy import stats

import hpcore
from contract.schemas import Report
from interlayer.audit import estimates
from interlayer.comparison import SATURATED_CROSS_EDGES
from tests.interlayer.audit.measured import report_of, write_activations


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("audit")
    return report_of(
        folder,
        train=write_activations(folder / "t.npz", seed=1),
        validation=write_activations(folder / "v.npz", seed=2),
    )


def test_mean_against_the_subsample_test_of_the_core(report: Report) -> None:
    for found in report.separations:
        estimate = estimates.mean_of(found)
        for bound in (found.mean - 0.05, found.mean + 0.02):
            shifted = np.array(found.fold_means) - bound
            below = hpcore.subsample_test(found.mean - bound, shifted, alternative="less")
            above = hpcore.subsample_test(found.mean - bound, shifted, alternative="greater")
            assert estimate.p_below(bound) == pytest.approx(below.p_value, rel=1e-9)
            assert estimate.p_above(bound) == pytest.approx(above.p_value, rel=1e-9)


def test_gap_against_the_report_itself(report: Report) -> None:
    rows = [row for row in report.tests if row.family == "generalization_gap"]
    assert rows
    for row in rows:
        of_layer = {s.split: s for s in report.separations if s.layer == row.output_layer}
        estimate = estimates.gap_of(of_layer["train"], of_layer["validation"])
        said = next(result for result in row.results if result.method == "subsample")
        two_sided = 2 * min(estimate.p_above(0.0) or 1, estimate.p_below(0.0) or 1)
        expected = {"two-sided": two_sided, "greater": estimate.p_above(0.0), "less": estimate.p_below(0.0)}
        assert estimate.value == pytest.approx(row.difference)
        assert said.p_value == pytest.approx(expected[row.alternative], rel=1e-9)


@pytest.mark.parametrize("statistic", ["median", "q10", "q25", "q75", "q90", "min", "max", "mean"])
def test_statistics_against_numpy(report: Report, statistic: str) -> None:
    found = report.separations[0]
    values = np.array(found.pairs.statistic)
    wanted = {
        "median": np.median(values), "min": values.min(), "max": values.max(), "mean": values.mean(),
        **{f"q{q}": np.quantile(values, q / 100) for q in (10, 25, 75, 90)},
    }[statistic]  # fmt: skip
    assert estimates.statistic_of(found, statistic, set()) == pytest.approx(wanted)
    everything = set(estimates.pair_values(found))
    assert estimates.statistic_of(found, statistic, everything) is None
    least = min(everything, key=lambda pair: estimates.pair_values(found)[pair])
    rest = np.sort(values)[1:]
    assert estimates.statistic_of(found, "min", {least}) == pytest.approx(rest[0])


def test_adjustments_against_scipy_and_the_definition() -> None:
    generator = np.random.default_rng(5)
    for size in (1, 2, 7, 30):
        p = list(generator.uniform(size=size) ** 3)
        assert estimates.adjusted(p, "benjamini_hochberg") == pytest.approx(stats.false_discovery_control(p))
        # Holm: reject at level a as long as the k-th smallest is below a / (m - k + 1); the adjusted p is the least a.
        holm = [max(min(1.0, (size - sum(q < r for q in p)) * r) for r in p if r <= value) for value in p]
        assert estimates.adjusted(p, "holm") == pytest.approx(holm)
    assert estimates.adjusted([0.04, None, 0.01], "holm") == pytest.approx([0.04, None, 0.02])


def test_sign_test_against_scipy() -> None:
    for parts in (1, 5, 12):
        for beyond in range(parts + 1):
            wanted = stats.binomtest(beyond, parts, 0.5, alternative="greater").pvalue
            assert estimates.sign_test(beyond, parts) == pytest.approx(wanted)


def test_the_bound_of_a_saturated_layer_is_above_the_variance_it_stands_for(tmp_path: pytest.TempPathFactory) -> None:
    """Classes so far apart that hardly an edge crosses: the spread of subsamples is 0, that of new data is not."""
    generator = np.random.default_rng(11)
    n, d, n_classes = 40, 4, 5
    labels = np.repeat(np.arange(n_classes), n)
    means, edges = [], []
    for _ in range(300):
        data = np.repeat(4.2 * np.eye(n_classes, n_classes + d), n, axis=0)
        data += generator.normal(size=data.shape)
        found = hpcore.pairwise_henze_penrose(data, labels)
        means.append(found.statistic.mean())
        edges.append(found.cross_edges.sum() - len(found.pairs))
    assert 0 < np.mean(edges) < SATURATED_CROSS_EDGES  # the case is the one that is meant
    scale = (1 / n) / len(found.pairs)
    typical = np.median([(n_classes - 1) * (seen + 3) * scale**2 for seen in edges])
    assert typical > np.var(means)
