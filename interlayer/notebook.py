"""The audit as one function, for notebooks and scripts: a report, or files of activations, against a policy."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.schemas import Report
from contract.schemas.policy import Policy
from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.audit.judging import audit
from interlayer.audit.obtaining import Evidence, computed_here
from interlayer.errors import UsageError
from interlayer.local import LocalInput
from interlayer.policy.loading import load_policy, refuse_expired
from interlayer.render.markdown import plain
from interlayer.report_file import load_report

_SHOWN_CASES = 5  # of one rule; the verdict has them all


@dataclass(frozen=True)
class Check:
    """What came of an audit. True where the build may go on; a notebook shows it as a list."""

    report: Report
    verdict: Verdict

    def __bool__(self) -> bool:
        return self.verdict.passed

    def __str__(self) -> str:
        lines = [f"{self.verdict.conclusion}: {self.verdict.policy}"]
        for rule in self.verdict.rules:
            lines.append(f"  {rule.outcome:<12}  {rule.id}")
            lines += [f"    {message}" for message in _messages(rule)]
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        lines = [f"**{self.verdict.conclusion}** by {plain(self.verdict.policy)}", ""]
        for rule in self.verdict.rules:
            lines.append(f"- {rule.outcome}: {plain(rule.id)}")
            lines += [f"    - {plain(message)}" for message in _messages(rule)]
        return "\n".join(lines)


def check(
    subject: Report | Path | str | Sequence[LocalInput],
    policy: Path | str = "interlayer.yaml",
    baseline: Report | Path | str | None = None,
) -> Check:
    """Judge a report by a policy.

    Parameters
    ----------
    subject
        A report, a report.json, or files of activations, which are analysed here.
    policy
        The policy file.
    baseline
        The report, or its file, that `change` rules compare with; by default the file that the policy names.

    Raises
    ------
    UsageError, AnalysisFailed
        The policy or a report cannot be read; the files cannot be analysed.
    """
    loaded = load_policy(Path(policy))
    refuse_expired(loaded, datetime.datetime.now(datetime.UTC).date())
    if baseline is None and loaded.policy.baseline is not None:
        baseline = Path(policy).parent / loaded.policy.baseline
    known = None if baseline is None else _report(baseline)
    evidence = _evidence(subject, loaded.policy)
    return Check(evidence.report, audit(evidence.report, loaded, known, evidence.parts))


def _evidence(subject: Report | Path | str | Sequence[LocalInput], policy: Policy) -> Evidence:
    if isinstance(subject, Sequence) and not isinstance(subject, str):
        return computed_here(subject, policy, lambda _stage, _done, _layers, _fraction: None)
    if policy.repeat > 1:
        raise UsageError(f"the policy says `repeat: {policy.repeat}`, which needs files of activations, not a report")
    return Evidence(_report(subject))


def _report(given: Report | Path | str) -> Report:
    return given if isinstance(given, Report) else load_report(given)


def _messages(rule: RuleVerdict) -> list[str]:
    told: list[Case] = [case for case in rule.cases if case.outcome not in ("pass", "ignored")]
    more = [f"and {len(told) - _SHOWN_CASES} more"] if len(told) > _SHOWN_CASES else []
    return [case.message for case in told[:_SHOWN_CASES]] + more
