"""What a report shows, in sentences: each finding is a rule written down, a message and the numbers behind it.

Pure functions of the report. A finding speaks of all networks of a report at once; its evidence lists the cases.
Severity is for gates: `error`, the network should not be used as it is; `warning`, look before you trust; `info`.
"""

from collections.abc import Callable, Iterator, Sequence

from contract.schemas import Finding, Report, Severity
from worker import data_findings, layer_findings, network_findings

_RULES: Sequence[Callable[[Report], Iterator[Finding]]] = (
    data_findings.shared_rows,
    network_findings.memorization,
    network_findings.no_separation,
    network_findings.generalization_gap,
    layer_findings.losing_layers,
    data_findings.small_sample,
    data_findings.unequal_classes,
    data_findings.ties,
    data_findings.shift,
    network_findings.first_separation,
    network_findings.adaptation,
    layer_findings.worst_class_pairs,
    layer_findings.idle_layers,
    layer_findings.saturation,
)
_ORDER: Sequence[Severity] = ("error", "warning", "info")


def findings(report: Report) -> list[Finding]:
    """Return every finding of a report, gravest first."""
    found = [finding for rule in _RULES for finding in rule(report)]
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))
