"""Every rule of a policy at every layer it selects, and what follows for the build."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from contract.schemas import Report, Separation
from contract.schemas.comparison import Comparison
from contract.schemas.policy import AnyRule, ChangeRule, FindingRule, GapRule, LayerRule, Policy, SeparationRule
from contract.schemas.verdict import Case, Conclusion, RuleVerdict, Verdict
from interlayer.audit.cases import Judged, change_cases, finding_cases, gap_cases, inconclusive, separation_cases
from interlayer.audit.estimates import adjusted
from interlayer.comparison import compare
from interlayer.policy.loading import LoadedPolicy
from interlayer.policy.selectors import selected_layers

_ORDER: tuple[Conclusion, ...] = ("violation", "inconclusive")


@dataclass(frozen=True)
class _Audit:
    """What the rules are held against."""

    policy: Policy
    report: Report
    parts: Sequence[Report]
    comparison: Comparison | None


def audit(
    report: Report, loaded: LoadedPolicy, baseline: Report | None = None, parts: Sequence[Report] = ()
) -> Verdict:
    """Judge a report by a policy.

    Parameters
    ----------
    report
        Of all rows.
    loaded
        The policy, from `interlayer.policy.load_policy`.
    baseline
        The report that `change` rules compare with.
    parts
        Reports of disjoint parts of the same rows, `repeat` of them, where the policy asks for that.
    """
    policy = loaded.policy
    comparison = compare(baseline, report) if baseline is not None else None
    held = _Audit(policy, report, parts, comparison)
    rules = [_rule_verdict(rule, loaded.lines[rule.id], held) for rule in policy.rules]
    conclusion = _worst([rule.outcome for rule in rules if rule.severity == "error"])
    return Verdict(
        conclusion=conclusion,
        passed=conclusion == "pass" or (conclusion == "inconclusive" and policy.on_inconclusive != "fail"),
        policy=loaded.path,
        policy_sha256=loaded.sha256,
        report_sha256=hashlib.sha256(report.to_bytes()).hexdigest(),
        baseline_sha256=None if baseline is None else hashlib.sha256(baseline.to_bytes()).hexdigest(),
        alpha=policy.alpha,
        adjustment=policy.adjustment,
        rules=rules,
        notes=_notes(held),
    )


def _notes(held: _Audit) -> list[str]:
    differences = held.comparison.differences if held.comparison is not None else []
    return [
        f"report and baseline differ in {item.field}: {item.candidate} (baseline: {item.base})" for item in differences
    ]


def _worst(outcomes: Sequence[str]) -> Conclusion:
    return next((outcome for outcome in _ORDER if outcome in outcomes), "pass")


def _rule_verdict(rule: AnyRule, line: int, held: _Audit) -> RuleVerdict:
    cases = _decided(list(_judged(rule, held)), held.policy)
    return RuleVerdict(
        id=rule.id,
        check=rule.check,
        severity=rule.severity,
        description=rule.description,
        line=line,
        outcome=_worst([case.outcome for case in cases]),
        cases=cases,
    )


def _judged(rule: AnyRule, held: _Audit) -> Iterator[Judged]:
    if isinstance(rule, FindingRule):
        yield from finding_cases(rule, held.report)
        return
    layers, missing = selected_layers(rule.layers, held.report.layers)
    if held.policy.on_missing_layer == "inconclusive":
        for selector in missing:
            known = ", ".join(held.report.layers[:5]) + (", …" if len(held.report.layers) > 5 else "")
            yield inconclusive(
                rule, f"{selector!r} matches no layer of the report, which has {known}; correct the rule"
            )
    found = [item for item in held.report.separations if item.layer in layers and _meant(rule, item, held.report)]
    if isinstance(rule, ChangeRule):
        yield from change_cases(rule, found, held.comparison)
    elif isinstance(rule, GapRule):
        yield from _enough(rule, held, gap_cases(rule, found, held.parts))
    else:
        yield from _enough(rule, held, separation_cases(rule, found, held.parts))
    if layers and not found:
        split = "" if isinstance(rule, GapRule) else f" on {rule.split} data"
        which = "" if rule.instance is None else f" {rule.instance!r}"
        yield inconclusive(rule, f"the report has no {rule.state} network{which}{split}; give its activations, too")


def _meant(rule: LayerRule, found: Separation, report: Report) -> bool:
    if found.state != rule.state or (rule.instance is not None and found.instance != rule.instance):
        return False
    if isinstance(rule, SeparationRule | ChangeRule) and found.split != rule.split:
        return False
    if rule.step == "last":
        steps = [s.step for s in report.separations if s.instance == found.instance and s.state == found.state]
        return found.step == max((step for step in steps if step is not None), default=None)
    return rule.step is None or found.step == rule.step


def _enough(rule: SeparationRule | GapRule, held: _Audit, cases: Iterator[Judged]) -> Iterator[Judged]:
    """Let nothing be decided on fewer rows of a class than the policy demands."""
    least = rule.min_per_class or held.policy.min_per_class
    for judged in cases:
        if judged.rows is not None and judged.rows < least and judged.case.outcome != "ignored":
            message = f"a class has {judged.rows} rows, the policy demands {least}"
            judged = replace(judged, case=judged.case.model_copy(update={"message": message}), undecided=True)
        yield judged


def _decided(judged: list[Judged], policy: Policy) -> list[Case]:
    """Return the cases of a rule with their outcome: the p-values are adjusted over all of them."""
    p_values = adjusted([item.case.p_value for item in judged], policy.adjustment)
    return [_outcome(item, p, policy) for item, p in zip(judged, p_values, strict=True)]


def _outcome(item: Judged, p_adjusted: float | None, policy: Policy) -> Case:
    case = item.case.model_copy(update={"p_adjusted": p_adjusted})
    if case.outcome == "ignored" or case.excess is None:
        return case
    if item.undecided:
        return case.model_copy(update={"outcome": "inconclusive"})
    if case.excess <= (case.tolerance or 0.0):
        where = "within the bound" if case.excess <= 0 else "beyond the bound, within the tolerance"
        return case.model_copy(update={"outcome": "pass", "message": where})
    beyond = f"beyond the bound by {case.excess:.3f}"
    if case.method == "threshold":
        return case.model_copy(update={"outcome": "violation", "message": f"{beyond} on these rows"})
    if p_adjusted is None:
        return case.model_copy(update={"outcome": "inconclusive", "message": f"{beyond}, but {item.reason}"})
    if p_adjusted >= policy.alpha:
        more = "more rows would decide" if case.method != "sign test over parts" else "more parts would decide"
        message = f"{beyond}, but not significantly (adjusted p {p_adjusted:.3g}): {more}"
        return case.model_copy(update={"outcome": "inconclusive", "message": message})
    if item.disagreeing:
        message = f"{beyond}, but {item.disagreeing} of {len(case.parts)} parts of the rows are not beyond it"
        return case.model_copy(update={"outcome": "inconclusive", "message": message})
    return case.model_copy(update={"outcome": "violation", "message": f"{beyond} (adjusted p {p_adjusted:.3g})"})
