"""Permutation tests of a difference of means: exact on an integer lattice, else by draws that many tests share.

The two-sample test is the one of the paper. Applied to class pairs it takes them for exchangeable and independent,
which pairs that share a class are not: at a nominal .05 and 10 equally separated classes it rejects about .2 of true
nulls one-sided and .3 two-sided. `hpcore.inference` holds the tests that keep their level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcore import _lattice, _resample
from hpcore._result import Alternative, TestResult, check_alternative
from hpcore.errors import InvalidInput

Method = Literal["auto", "exact", "monte_carlo"]
RandomSource = (
    int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None
)  # what numpy.random.default_rng takes (SPEC 7)
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_LARGEST_VALUE = 1e300
_REVERSED: dict[Alternative, Alternative] = {"greater": "less", "less": "greater", "two-sided": "two-sided"}


def permutation_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool = False,
    alternative: Alternative = "two-sided",
    method: Method = "auto",
    n_resamples: int = 50_000,
    rng: RandomSource = None,
) -> TestResult:
    """Test whether the means of `a` and `b` differ, by permutation.

    Parameters
    ----------
    a, b
        (P,) and (Q,) numbers; Q = P where `paired`.
    paired
        False: every way to divide the P + Q values into groups of P and Q is equally likely under the null.
        True: every assignment of signs to the P differences is.
    alternative
        ``"greater"`` means mean(a) > mean(b). ``"two-sided"`` counts ``|T - E T| >= |t - E T|``.
    method
        ``"exact"``: the distribution of all permutations, by a recursion over integers; ``"monte_carlo"``: draws;
        ``"auto"``: exact where the values lie on a lattice small enough, else draws.
    n_resamples
        Draws of the Monte Carlo method; its p-value is (b + 1) / (n_resamples + 1), ties counted.
    rng
        Seed or generator, as in SciPy.

    Raises
    ------
    InvalidInput
        For empty, non-finite or not one-dimensional samples, unequal lengths where `paired`, an unknown word, and for
        ``method="exact"`` where the values are on no lattice or the recursion would be too large.

    Notes
    -----
    Memory: exact at most 256 MiB of counts (45 + 45 values of HP at n = 1000: under 6 MB); Monte Carlo about 100 MB
    whatever the number of draws. Smallest two-sample p-value of the exact method: ``1 / C(P+Q, P)``.

    Examples
    --------
    >>> permutation_test([6, 9, 9, 12], [3, 5, 5, 8], alternative="greater").p_value * 35
    1.0
    """
    samples = [np.asarray(sample, dtype=np.float64) for sample in (a, b)]
    for name, sample in zip(("a", "b"), samples, strict=True):
        if sample.ndim != 1:
            raise InvalidInput(f"`{name}` has shape {sample.shape}; expected one dimension")
    return permutation_tests(
        samples[0][None],
        samples[1][None],
        paired=paired,
        alternative=alternative,
        method=method,
        n_resamples=n_resamples,
        rng=rng,
    )[0]


def permutation_tests(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool = False,
    alternative: Alternative = "two-sided",
    method: Method = "auto",
    n_resamples: int = 50_000,
    rng: RandomSource = None,
) -> tuple[TestResult, ...]:
    """`permutation_test` of each row of `a` (T, P) against the same row of `b` (T, Q).

    All tests that need Monte Carlo share one draw of permutations: the matrix of selections is made once and one
    matrix product gives every null distribution. Parameters and errors are those of `permutation_test`.
    """
    check_alternative(alternative)
    first, second = _samples(a, b, paired=paired)
    if method not in get_args(Method):
        raise InvalidInput(f"`method` is {method!r}; allowed are {', '.join(get_args(Method))}")
    problems = [_problem(x, y, paired=paired) for x, y in zip(first, second, strict=True)]
    refusals = [_exact_refusal(problem) for problem in problems]
    if method == "exact":
        for refusal in refusals:
            if refusal is not None:
                raise InvalidInput(f'`method` is "exact", but {refusal}; use "monte_carlo" or "auto"')
    drawn = [i for i, refusal in enumerate(refusals) if method == "monte_carlo" or refusal is not None]
    p_values: dict[int, float] = {}
    if drawn:
        null = _null_sums([problems[i] for i in drawn], n_resamples, rng)
        for column, i in enumerate(drawn):
            p_values[i] = _monte_carlo_p_value(problems[i], null[:, column], alternative)
    results = []
    for i, problem in enumerate(problems):
        exact = i not in p_values
        results.append(
            TestResult(
                statistic=fsum(first[i]) / first[i].size - fsum(second[i]) / second[i].size,
                p_value=_exact_p_value(problem, alternative) if exact else p_values[i],
                method="permutation",
                exact=exact,
                n_resamples=None if exact else n_resamples,
                alternative=alternative,
            )
        )
    return tuple(results)


def max_t_p_values(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool = False,
    alternative: Alternative = "two-sided",
    n_resamples: int = 50_000,
    rng: RandomSource = None,
) -> Floats:
    """Step-down max-T adjusted p-values of the family of tests ``a[t]`` against ``b[t]``.

    Statistics are standardised by their permutation mean and standard deviation, so that no test dominates by its
    scale; all share one draw of permutations (Westfall and Young 1993). Unlike Holm's, these p-values are not bounded
    below by the number of tests over the number of draws.

    Returns
    -------
    ndarray (T,)
    """
    from hpcore.multiplicity import step_down_max_t

    check_alternative(alternative)
    first, second = _samples(a, b, paired=paired)
    problems = [_problem(x, y, paired=paired) for x, y in zip(first, second, strict=True)]
    null = _null_sums(problems, n_resamples, rng)
    observed = np.array([problem.observed for problem in problems])
    centre = np.array([problem.centre for problem in problems])
    spread = np.array([problem.standard_deviation for problem in problems])
    safe = np.where(spread > 0, spread, 1.0)  # a test without spread has nothing to reject: its z is 0
    z, null_z = (observed - centre) / safe, (null - centre) / safe
    # A sum taken in two orders differs in its last places; rounding makes equal statistics equal.
    return step_down_max_t(np.round(z, 9), np.round(null_z, 9), alternative=alternative)


@dataclass(frozen=True, slots=True)
class _Problem:
    """One test as a sum over numbers: of the values chosen for `a`, or of differences with their signs."""

    values: Floats
    integers: Integers | None
    size: int
    paired: bool

    @property
    def numbers(self) -> Floats:
        """The integers where there are any: sums of them are exact in float64."""
        return self.values if self.integers is None else self.integers.astype(np.float64)

    @property
    def observed(self) -> float:
        numbers = self.numbers
        return fsum(numbers if self.paired else numbers[: self.size])

    @property
    def centre(self) -> float:
        return 0.0 if self.paired else self.size * fsum(self.numbers) / self.numbers.size

    @property
    def standard_deviation(self) -> float:
        numbers = self.numbers
        if self.paired:
            return float(np.sqrt(np.square(numbers).sum()))
        n = numbers.size
        share = self.size * (n - self.size) / (n * (n - 1))
        return float(np.sqrt(share * np.square(numbers - numbers.mean()).sum()))


def _samples(a: ArrayLike, b: ArrayLike, *, paired: bool) -> tuple[Floats, Floats]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    for name, sample in (("a", first), ("b", second)):
        if sample.ndim != 2 or sample.shape[1] == 0:
            raise InvalidInput(f"`{name}` has shape {sample.shape[1:]}; expected at least one value")
        if not np.isfinite(sample).all():
            raise InvalidInput(f"`{name}` holds NaN or infinity; all values must be finite")
        if np.abs(sample).max() > _LARGEST_VALUE:
            raise InvalidInput(f"`{name}` holds values beyond {_LARGEST_VALUE:g}; scale both samples, or sums overflow")
    if len(first) != len(second):
        raise InvalidInput(f"`a` has {len(first)} rows and `b` {len(second)}; expected one per test in both")
    if paired and first.shape != second.shape:
        raise InvalidInput(f"`paired` needs samples of one length; got {first.shape[1]} and {second.shape[1]} values")
    return first, second


def _problem(a: Floats, b: Floats, *, paired: bool) -> _Problem:
    magnitude = float(max(np.abs(a).max(), np.abs(b).max()))
    values = a - b if paired else np.concatenate([a, b])
    anchor = 0.0 if paired else float(values.min())
    integers = _lattice.integer_lattice(values, anchor=anchor, magnitude=magnitude)
    return _Problem(values=values, integers=integers, size=a.size, paired=paired)


def _exact_refusal(problem: _Problem) -> str | None:
    if problem.integers is None:
        return "the values lie on no common lattice"
    if problem.paired:
        return _lattice.sign_flip_refusal(np.abs(problem.integers))
    return _lattice.two_sample_refusal(problem.integers, min(problem.size, problem.integers.size - problem.size))


def _exact_p_value(problem: _Problem, alternative: Alternative) -> float:
    assert problem.integers is not None, "the caller has excluded values off the lattice"
    integers = problem.integers
    if problem.paired:
        magnitudes = np.abs(integers)
        counts = _lattice.sign_flip_counts(magnitudes)
        positive = int(magnitudes[integers > 0].sum())
        sums = np.arange(counts.size)
        return _lattice.tail_probability(sums, counts, positive, (int(magnitudes.sum()), 2), alternative)
    # Subsets of the smaller sample are fewer; if that is `b`, a large mean of `a` is a small sum.
    chosen, tail = integers[: problem.size], alternative
    if 2 * problem.size > integers.size:
        chosen = integers[problem.size :]
        tail = _REVERSED[alternative]
    smallest, counts = _lattice.subset_sum_counts(integers, chosen.size)
    sums = smallest + np.arange(counts.size)
    centre = (chosen.size * int(integers.sum()), integers.size)
    return _lattice.tail_probability(sums, counts, int(chosen.sum()), centre, tail)


def _null_sums(problems: Sequence[_Problem], n_resamples: int, rng: RandomSource) -> Floats:
    if n_resamples < 1:
        raise InvalidInput(f"`n_resamples` is {n_resamples}; at least 1 is needed")
    generator = np.random.default_rng(rng)
    values = np.stack([problem.numbers for problem in problems])
    if problems[0].paired:
        return _resample.sign_sums(values, n_resamples, generator)
    return _resample.selection_sums(values, problems[0].size, n_resamples, generator)


def _monte_carlo_p_value(problem: _Problem, null: Floats, alternative: Alternative) -> float:
    numbers = problem.numbers
    # Sums taken in another order differ by at most n u Σ|x|, u being half of eps; what is that close counts as a tie.
    slack = 0.0 if problem.integers is not None else numbers.size * np.finfo(np.float64).eps / 2 * np.abs(numbers).sum()
    if alternative == "greater":
        extreme = null >= problem.observed - slack
    elif alternative == "less":
        extreme = null <= problem.observed + slack
    else:
        # Scaled by the number of values the centre is an integer too, and the comparison of ties stays exact.
        n = numbers.size
        centre = 0.0 if problem.paired else problem.size * fsum(numbers)
        extreme = np.abs(n * null - centre) >= abs(n * problem.observed - centre) - 2 * n * slack
    return (int(np.count_nonzero(extreme)) + 1) / (null.size + 1)
