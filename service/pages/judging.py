"""What a policy would say of a report: the verdict of `interlayer audit`, on the page of the report."""

from dataclasses import dataclass
from datetime import UTC, datetime

from contract.schemas import Problem, Report
from contract.schemas.verdict import Verdict
from service.deps import Stores
from service.references import bytes_of

_NAME = "interlayer.yaml"


@dataclass(frozen=True)
class Judged:
    """What was filled in, and what came of it."""

    policy: str
    baseline: str
    verdict: Verdict | None = None
    problem: Problem | None = None


def not_judged() -> Judged:
    """Return the form with a policy to start from."""
    from interlayer.policy import TEMPLATE

    return Judged(TEMPLATE, "")


def judged(found: Stores, tenant: str, report: Report, policy: str, baseline: str) -> Judged:
    """Judge a report by the text of a policy, compared with the report of a baseline: the chosen, or the policy's."""
    from interlayer.audit.judging import audit
    from interlayer.policy import PolicyError, read_policy
    from interlayer.policy.loading import refuse_expired

    try:
        loaded = read_policy(policy.replace("\r\n", "\n").encode(), _NAME)
        refuse_expired(loaded, datetime.now(UTC).date())
        if loaded.policy.repeat > 1:
            raise PolicyError(
                f"the policy says `repeat: {loaded.policy.repeat}`, which needs the activations: run "
                "`interlayer audit`, or leave it out here"
            )
    except PolicyError as error:
        return Judged(policy, baseline, problem=Problem.of("invalid_request", str(error)))
    named = found.baselines.get(tenant, baseline or loaded.policy.baseline or "")
    known = None if named is None else Report.model_validate_json(bytes_of(found, named.report.sha256))
    return Judged(policy, baseline, verdict=audit(report, loaded, known))
