"""From what the command was given to the reports that are judged: computed here, computed by a service, or read."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.schemas import Analysis, AnalysisRequest, Report
from contract.schemas.history import ReportReference
from contract.schemas.policy import Policy
from interlayer.client import Client
from interlayer.errors import AnalysisFailed, InterlayerError, UsageError
from interlayer.local import LocalInput, analyze
from interlayer.report_file import load_report

_REFERENCE = re.compile(r"(an|rp)_\w+")
OnProgress = Callable[[str, int, int, float], None]


@dataclass(frozen=True)
class Evidence:
    """What a policy is held against."""

    report: Report
    parts: tuple[Report, ...] = ()


def options_of(policy: Policy) -> list[dict[str, object]]:
    """Return the fields of the requests that a policy needs: of all rows, then of every disjoint part of them."""
    chosen = policy.analysis
    parts: list[dict[str, object]] = [{}]
    if policy.repeat > 1:
        parts += [{"part": {"number": number, "of": policy.repeat}} for number in range(policy.repeat)]
    return [
        {"metric": chosen.metric, "seed": chosen.seed, "sampling": {"per_class": chosen.per_class, **part}}
        for part in parts
    ]


def is_report(text: str) -> bool:
    """Tell whether an input is a report rather than activations: a JSON file, or the id of an analysis or report."""
    return Path(text).suffix == ".json" or (_REFERENCE.fullmatch(text) is not None and not Path(text).exists())


def known_report(text: str, client: Client | None, policy: Policy) -> Evidence:
    """Return the report that a file or an id names. Disjoint parts cannot be had from it."""
    if policy.repeat > 1:
        raise UsageError(
            f"the policy says `repeat: {policy.repeat}`, which needs activations: give their files, not {text}"
        )
    if Path(text).suffix == ".json":
        return Evidence(load_report(text))
    if client is None:
        raise UsageError(f"{text} is on a service: name it with --server or INTERLAYER_SERVER")
    return Evidence(client.report(text))


def computed_here(inputs: Sequence[LocalInput], policy: Policy, on_progress: OnProgress) -> Evidence:
    """Return the reports of files of activations, computed in this process."""
    reports = [analyze(inputs, options, on_progress=on_progress) for options in options_of(policy)]
    return Evidence(reports[0], tuple(reports[1:]))


def submitted(inputs: Sequence[LocalInput], policy: Policy, client: Client) -> list[Analysis]:
    """Upload files and submit what a policy needs; what was submitted before, by whatever run, is found again."""
    references = [item.reference(client.upload(item.path).id).model_dump() for item in inputs]
    analyses: list[Analysis] = []
    try:
        for options in options_of(policy):
            request = AnalysisRequest.model_validate({"inputs": references, **options})
            key = "audit-" + hashlib.sha256(request.model_dump_json().encode()).hexdigest()
            found = client.submit(request, idempotency_key=key)
            # An earlier run that failed or was interrupted left this; whoever asks again wants it tried again.
            analyses.append(client.retry(found.id) if found.status in ("failed", "canceled") else found)
    except BaseException:
        cancel(analyses, client)
        raise
    return analyses


def awaited(
    analyses: Sequence[Analysis], client: Client, on_progress: Callable[[Analysis], None], timeout: float | None
) -> Evidence:
    """Return the reports of analyses once they have ended.

    Raises
    ------
    AnalysisFailed, TimedOut
        One of them has no report; one has not ended in time (all go on).
    """
    reports = []
    for analysis in analyses:
        ended = client.wait(analysis.id, timeout=timeout, on_progress=on_progress)
        if ended.error is not None:
            raise AnalysisFailed(ended.error)
        reports.append(client.report(analysis.id))
    return Evidence(reports[0], tuple(reports[1:]))


def cancel(analyses: Sequence[Analysis], client: Client) -> None:
    """Cancel analyses as far as the service can still be reached."""
    for analysis in analyses:
        try:
            client.cancel(analysis.id)
        except InterlayerError:  # it has ended, or nobody listens: there is nothing left to do
            continue


def baseline_report(name: str | None, policy: Policy, folder: Path, client: Client | None) -> Report | None:
    """Return the baseline: a file, or a name on the service. One that the policy names lies beside the policy."""
    if name is None and policy.baseline is None:
        return None
    wanted = name or policy.baseline or ""
    path = Path(wanted) if name is not None else folder / wanted
    if path.is_file():
        return load_report(path)
    if path.suffix == ".json" or client is None:
        hint = "bless one: interlayer baseline bless NAME REF, or copy a report.json there"
        raise UsageError(f"there is no baseline file {path}, and no service to ask for that name; {hint}")
    return client.report(ReportReference(baseline=wanted))
