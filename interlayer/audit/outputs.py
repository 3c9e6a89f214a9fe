"""Everything that one audit writes; all of it follows from the verdict and the report."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contract.schemas import Report
from contract.schemas.verdict import Verdict
from interlayer.errors import INCONCLUSIVE, PASS, VIOLATION
from interlayer.output import require_place


@dataclass(frozen=True)
class AuditTargets:
    """Where an audit writes; what is None is not wanted."""

    folder: Path | None = None
    junit: Path | None = None
    sarif: Path | None = None
    markdown: Path | None = None

    def require_places(self) -> None:
        """Make the folder, and find out before a long computation what could not be written after it."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.junit, self.sarif, self.markdown):
            require_place(path)


def exit_code(verdict: Verdict) -> int:
    """Return what the command ends with."""
    if verdict.passed:
        return PASS
    return VIOLATION if verdict.conclusion == "violation" else INCONCLUSIVE


def write_audit(verdict: Verdict, report: Report, targets: AuditTargets) -> None:
    """Write the files that were asked for, and the summary of a workflow step where there is one."""
    from interlayer.render.html import to_html
    from interlayer.render.junit import verdict_to_junit
    from interlayer.render.sarif import verdict_to_sarif
    from interlayer.render.summary import verdict_to_markdown

    targets.require_places()

    def junit() -> str:
        return verdict_to_junit(verdict)

    def sarif() -> str:
        return verdict_to_sarif(verdict)

    def markdown() -> str:
        return verdict_to_markdown(verdict, report)

    wanted: list[tuple[Path | None, Callable[[], str]]] = [
        (targets.junit, junit),
        (targets.sarif, sarif),
        (targets.markdown, markdown),
    ]
    if targets.folder is not None:
        (targets.folder / "report.json").write_bytes(report.to_bytes())
        (targets.folder / "verdict.json").write_bytes(verdict.to_bytes())
        wanted += [
            (targets.folder / "junit.xml", junit),
            (targets.folder / "results.sarif", sarif),
            (targets.folder / "summary.md", markdown),
            (targets.folder / "report.html", lambda: to_html(report, verdict)),
        ]
    for path, render in wanted:
        if path is not None:
            path.write_text(render(), encoding="utf-8")
    if step_summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step_summary).open("a", encoding="utf-8") as file:
            file.write(markdown() + "\n")
