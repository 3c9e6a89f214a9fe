"""What every test of hpcore returns, and the words it uses for its alternative."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from hpcore.errors import InvalidInput

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of one difference of means.

    Attributes
    ----------
    statistic
        ``mean(a) - mean(b)``, or the contrast that was tested.
    p_value
        In (0, 1], or None where the method does not apply; `reason` then says why.
    method
        Name of the method, e.g. ``"permutation"`` or ``"subsample"``.
    exact
        True where the p-value is that of the full null distribution, not of draws from it or of an approximation.
    n_resamples
        Random draws behind the p-value; None where none were made.
    alternative
        ``"two-sided"``, ``"greater"`` or ``"less"``.
    standard_error, degrees_of_freedom
        Of the t statistic; None for permutation methods.
    low, high
        95 % confidence interval of the statistic; None where the method has none.
    reason
        Why a p-value is missing, or what was degenerate; None otherwise.
    """

    # pytest would otherwise try to collect a class of this name wherever a test module imports it.
    __test__: ClassVar[bool] = False

    statistic: float
    p_value: float | None
    method: str
    exact: bool
    n_resamples: int | None
    alternative: Alternative
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def check_alternative(alternative: str) -> None:
    """Refuse a word that is not an alternative.

    Raises
    ------
    InvalidInput
        If `alternative` is none of the three words.
    """
    if alternative not in get_args(Alternative):
        raise InvalidInput(f"`alternative` is {alternative!r}; allowed are {', '.join(get_args(Alternative))}")
