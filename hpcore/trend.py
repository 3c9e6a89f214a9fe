"""How the mean statistic of a layer depends on the number of points: the estimate is biased towards zero."""

from dataclasses import dataclass, replace
from math import fsum
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from hpcore import _validate
from hpcore._layer_points import Options
from hpcore.folds import fold_means
from hpcore.permutation import RandomSource


@dataclass(frozen=True, slots=True)
class SampleSizeTrend:
    """Mean statistic at a quarter, a half and all of the points.

    Attributes
    ----------
    n_min
        Points of the smallest class at each size, ascending.
    means
        Mean statistic over the class pairs; at smaller sizes averaged over disjoint subsamples.
    limit
        Value at infinite n if the differences go on shrinking by the same factor at every doubling, or None.
    reason
        Why there is no limit.
    """

    n_min: tuple[int, int, int]
    means: tuple[float, float, float]
    limit: float | None
    reason: str | None


def sample_size_trend(
    activations: ArrayLike,
    labels: ArrayLike,
    *,
    rng: RandomSource = 0,
    whole_mean: float | None = None,
    **options: Unpack[Options],
) -> SampleSizeTrend:
    """Measure a layer at n/4, n/2 and n points per class, without replacement.

    Parameters
    ----------
    activations, labels
        At least 8 points of every class.
    rng
        Seed of the division into quarters and halves.
    whole_mean
        Mean statistic on all points, where it is known.
    options
        As in `hpcore.fold_means`.

    Returns
    -------
    SampleSizeTrend

    Raises
    ------
    InvalidInput
        As `hpcore.fold_means`.

    Notes
    -----
    With m1, m2, m3 the means and ``q = (m3 - m2) / (m2 - m1)``, the differences shrink by q at every doubling and add
    up to ``limit = m3 + (m3 - m2) q / (1 - q)`` for 0 < q < 1 (Aitken's extrapolation). It is a reading of three noisy
    numbers, not an estimate with an error.
    Cost: three quarters of a `pairwise_henze_penrose`, and one more where `whole_mean` is not known.
    """
    from hpcore import pairwise_henze_penrose

    rows = _validate.activation_matrix(activations)
    groups = _validate.class_labels(labels, len(rows))
    generator = np.random.default_rng(rng)
    parts = [fold_means(rows, labels, n_repeats=1, n_folds=n_folds, rng=generator, **options) for n_folds in (4, 2)]
    if whole_mean is None:
        whole = pairwise_henze_penrose(rows, labels, **options)
        whole_mean = fsum(whole.statistic) / whole.statistic.size
    n = int(groups.sizes.min())
    quarter, half = (float(part.mean()) for part in parts)
    limit, reason = _extrapolated(quarter, half, whole_mean)
    return SampleSizeTrend(n_min=(n // 4, n // 2, n), means=(quarter, half, whole_mean), limit=limit, reason=reason)


def with_whole_mean(trend: SampleSizeTrend, whole_mean: float) -> SampleSizeTrend:
    """Return a trend with another mean on all points, as `sample_size_trend` gives it."""
    quarter, half, _ = trend.means
    limit, reason = _extrapolated(quarter, half, whole_mean)
    return replace(trend, means=(quarter, half, whole_mean), limit=limit, reason=reason)


def _extrapolated(quarter: float, half: float, full: float) -> tuple[float | None, str | None]:
    if full == half:
        return full, None
    ratio = (full - half) / (half - quarter) if half != quarter else np.inf
    if not 0 < ratio < 1:
        return None, "the differences do not shrink from one doubling to the next"
    limit = full + (full - half) * ratio / (1 - ratio)
    if not -1 <= limit <= 1:
        return None, "the differences hardly shrink: continued, they would leave the range of the statistic"
    return limit, None
