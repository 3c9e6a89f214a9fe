"""The cases of each kind of rule: what is demanded, what was found, and how likely that is by chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contract.schemas import Report, Separation
from contract.schemas.comparison import Comparison, LayerChange
from contract.schemas.policy import AnyRule, ChangeRule, FindingRule, GapRule, LayerRule, SeparationRule
from contract.schemas.verdict import Case
from interlayer.audit.estimates import Estimate, find, gap_of, mean_of, pair_values, sign_test, statistic_of

_SIGN_TEST = "sign test over parts"
_THRESHOLD = "threshold"


@dataclass(frozen=True)
class Judged:
    """A case whose p-value is not adjusted yet, and what else its outcome depends on."""

    case: Case
    rows: int | None = None  # of the smallest class
    reason: str = ""  # why there is no p-value
    disagreeing: int = 0  # parts that are not beyond the bound
    undecided: bool = False


@dataclass(frozen=True)
class _Bound:
    """One side of the line."""

    value: float
    lower: bool  # found must be at least the value

    def excess(self, found: float) -> float:
        return self.value - found if self.lower else found - self.value

    def p_value(self, estimate: Estimate) -> float | None:
        return estimate.p_below(self.value) if self.lower else estimate.p_above(self.value)

    @property
    def words(self) -> str:
        return f"{'at least' if self.lower else 'at most'} {self.value:g}"


def inconclusive(rule: LayerRule, message: str) -> Judged:
    """Return the case of a rule that cannot be judged at all."""
    return Judged(
        Case(outcome="inconclusive", state=rule.state, expected="a layer to judge", method="", message=message)
    )


def separation_cases(rule: SeparationRule, found: Sequence[Separation], parts: Sequence[Report]) -> Iterator[Judged]:
    """Yield a case for every layer, or for every layer and class pair."""
    bound = _Bound(rule.at_least, True) if rule.at_least is not None else _Bound(rule.at_most or 0.0, False)
    ignored = {frozenset(item.pair): item for item in rule.ignore_pairs}
    for separation in found:
        for pair, item in ignored.items():
            until = f"{item.reason} (until {item.expires})"
            yield Judged(_case(rule, separation, "ignored", method="", message=until, pair=sorted(pair)))
        twins = [twin for part in parts if (twin := find(part, separation)) is not None]
        if rule.pairs is None:
            yield _statistic_case(rule, separation, twins, bound, set(ignored))
            continue
        for names in rule.pairs:
            if frozenset(names) not in ignored:
                yield _pair_case(rule, separation, twins, bound, names)


def _statistic_case(
    rule: SeparationRule,
    separation: Separation,
    twins: Sequence[Separation],
    bound: _Bound,
    ignored: set[frozenset[str]],
) -> Judged:
    value = statistic_of(separation, rule.statistic, ignored)
    if value is None:
        return Judged(_case(rule, separation, "inconclusive", method="", message="every class pair is ignored"))
    values = [part for twin in twins if (part := statistic_of(twin, rule.statistic, ignored)) is not None]
    estimate = mean_of(separation) if rule.statistic == "mean" and rule.claim == "expected" else None
    return _bounded(rule, separation, value, bound, values, estimate, f"{rule.statistic} {bound.words}")


def _pair_case(
    rule: SeparationRule, separation: Separation, twins: Sequence[Separation], bound: _Bound, names: Sequence[str]
) -> Judged:
    pair = frozenset(names)
    value = pair_values(separation).get(pair)
    if value is None:
        message = f"the report has no class pair {' / '.join(names)}"
        return Judged(_case(rule, separation, "inconclusive", method="", message=message, pair=list(names)))
    values = [pair_values(twin)[pair] for twin in twins if pair in pair_values(twin)]
    judged = _bounded(rule, separation, value, bound, values, None, f"separation {bound.words}")
    return Judged(judged.case.model_copy(update={"pair": list(names)}), judged.rows, judged.reason, judged.disagreeing)


def _bounded(
    rule: SeparationRule | GapRule,
    separation: Separation,
    value: float,
    bound: _Bound,
    parts: Sequence[float],
    estimate: Estimate | None,
    expected: str,
) -> Judged:
    beyond = sum(bound.excess(part) > 0 for part in parts)
    reason = ""
    p_value: float | None
    if estimate is not None:
        p_value, method, reason = bound.p_value(estimate), estimate.method, estimate.reason
    elif isinstance(rule, SeparationRule) and rule.claim == "observed":
        p_value, method = None, _THRESHOLD
    else:
        p_value, method = (sign_test(beyond, len(parts)) if parts else None), _SIGN_TEST
        reason = "there are no reports of parts of the rows: audit the activations, not a report"
    case = _case(
        rule, separation, "inconclusive", expected, method, "",
        found=value, bound=bound.value, excess=bound.excess(value), p_value=p_value, parts=list(parts),
    )  # fmt: skip
    disagreeing = len(parts) - beyond if method != _THRESHOLD else 0
    return Judged(case, min(separation.n_per_class), reason, disagreeing)


def gap_cases(rule: GapRule, found: Sequence[Separation], parts: Sequence[Report]) -> Iterator[Judged]:
    """Yield a case for every layer that has training and validation data."""
    validation = {(s.instance, s.step, s.layer): s for s in found if s.split == "validation"}
    bound = _Bound(rule.at_most, False)
    expected = f"gap of training over validation {bound.words}"
    for train in (s for s in found if s.split == "train"):
        twin = validation.pop((train.instance, train.step, train.layer), None)
        if twin is None:
            yield Judged(_case(rule, train, "inconclusive", expected, message="there are no validation data"))
            continue
        if train.n_per_class != twin.n_per_class:
            message = (
                f"a class has {min(train.n_per_class)} training and {min(twin.n_per_class)} validation rows: the "
                "statistic depends on them; analyse with `per_class: equal`"
            )
            yield Judged(_case(rule, train, "inconclusive", expected, message=message))
            continue
        estimate = gap_of(train, twin)
        judged = _bounded(rule, train, estimate.value, bound, list(_gaps(parts, train, twin)), estimate, expected)
        yield Judged(judged.case.model_copy(update={"split": None}), judged.rows, judged.reason, judged.disagreeing)
    for lonely in validation.values():
        yield Judged(_case(rule, lonely, "inconclusive", expected, message="there are no training data"))


def _gaps(parts: Sequence[Report], train: Separation, validation: Separation) -> Iterator[float]:
    for part in parts:
        one, other = find(part, train), find(part, validation)
        if one is not None and other is not None:
            yield one.mean - other.mean


def change_cases(rule: ChangeRule, found: Sequence[Separation], comparison: Comparison | None) -> Iterator[Judged]:
    """Yield a case for every layer that the report and the baseline have."""
    verb, limit = ("drop", rule.max_drop) if rule.max_drop is not None else ("rise", rule.max_rise)
    expected = f"mean may {verb} by at most {limit:g}{' of the baseline' if rule.relative else ''}"
    if comparison is None:
        message = "there is no baseline to compare with: give --baseline, or `baseline` in the policy"
        yield Judged(_case(rule, None, "inconclusive", expected, message=message))
        return
    decisive = [item for item in comparison.differences if item.decisive]
    if decisive:
        which = "; ".join(f"{item.field}: {item.candidate} (baseline: {item.base})" for item in decisive)
        message = f"report and baseline cannot be compared, they differ in {which}; bless a baseline that agrees"
        yield Judged(_case(rule, None, "inconclusive", expected, message=message))
        return
    changes = {(c.instance, c.state, c.split, c.step, c.layer): c for c in comparison.changes}
    for separation in found:
        role = (separation.instance, separation.state, separation.split, separation.step, separation.layer)
        change = changes.get(role)
        if change is None:
            yield Judged(_case(rule, separation, "inconclusive", expected, message="the baseline has no such layer"))
        else:
            yield _changed(rule, separation, change, expected)


def _changed(rule: ChangeRule, separation: Separation, change: LayerChange, expected: str) -> Judged:
    limit = (rule.max_drop if rule.max_drop is not None else rule.max_rise) or 0.0
    if rule.relative:
        limit *= abs(change.base)
    worse = -change.difference if rule.max_drop is not None else change.difference
    # The two-sided p-value is of no change; beyond a bound of its own, the estimate must differ from that bound.
    estimate = _of_change(change)
    case = _case(
        rule, separation, "inconclusive", expected, "subsample", "",
        found=change.difference, bound=limit, excess=worse - limit,
        p_value=None if estimate is None else estimate.p_above(limit) if rule.max_rise is not None
        else estimate.p_below(-limit),
    )  # fmt: skip
    return Judged(case, None, change.reason or "")


def _of_change(change: LayerChange) -> Estimate | None:
    """Return the difference with the standard error that its interval was made of."""
    if change.standard_error is None or change.degrees_of_freedom is None:
        return None
    return Estimate(change.difference, change.standard_error, change.degrees_of_freedom, "subsample")


def finding_cases(rule: FindingRule, report: Report) -> Iterator[Judged]:
    """Yield a case for every finding that is named."""
    messages: dict[str, str] = {}
    for finding in report.findings:
        messages.setdefault(finding.code, finding.message)
    for codes, wanted in ((rule.absent, False), (rule.present, True)):
        for code in codes:
            has = code in messages
            message = messages.get(code, f"the report has no finding {code}")
            expected = f"{'the' if wanted else 'no'} finding {code}"
            yield Judged(
                Case(
                    outcome="pass" if has == wanted else "violation",
                    expected=expected,
                    method=_THRESHOLD,
                    message=message,
                )
            )


def _case(
    rule: AnyRule,
    separation: Separation | None,
    outcome: str,
    expected: str = "",
    method: str = "",
    message: str = "",
    **numbers: object,
) -> Case:
    role = {} if separation is None else separation.model_dump(include={"instance", "state", "split", "step", "layer"})
    tolerance = rule.tolerance if isinstance(rule, LayerRule) else None
    return Case.model_validate(
        {"outcome": outcome, "expected": expected, "method": method, "message": message, "tolerance": tolerance}
        | role
        | numbers
    )
