"""Run the whole study: train, record, upload, analyse, print and write the reports."""

import argparse
import signal
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from contract.schemas import Analysis, Report
from examples.digits.activations import recordings
from examples.digits.analysis import embedded_service, submit
from examples.digits.data import STUDIES, Study
from interlayer.client import Client
from interlayer.errors import InterlayerError
from interlayer.render.html import to_html
from interlayer.render.terminal import print_report

INTERRUPTED = 130
TRAINING, SUBMITTED = 0.3, 0.4  # shares of the work before the upload, and before the analysis


def main() -> int:
    """Run the studies and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.digits", description="Study networks on real digits.")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder of the reports and of all that is kept")
    out: Path = parser.parse_args().out
    # To be told to stop is to leave in order, as after Ctrl-C; a shell may have us started with that ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    console, start = Console(), time.monotonic()
    try:
        with embedded_service(out / "service") as client:
            reports = _run(client, out, console)
    except KeyboardInterrupt:
        console.print("Interrupted. The next run goes on from here.")
        return INTERRUPTED
    except (InterlayerError, RuntimeError, OSError) as error:
        Console(stderr=True).print(f"The study failed: {error}", markup=False)
        return getattr(error, "exit_code", 1)
    for study, report in reports.items():
        console.rule(f"[bold]{study.name}[/]: {study.description}")
        print_report(report, console)
    for study in reports:
        console.print(f"{out / study.name / 'report.html'}", markup=False, highlight=False)
    console.print(f"{len(reports)} studies in {time.monotonic() - start:.0f} s; the pages above open in any browser.")
    return 0


def _run(client: Client, out: Path, console: Console) -> dict[Study, Report]:
    """Make each study while the service analyses the ones before it, then collect the reports."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description:13}"),
        BarColumn(16),
        TextColumn("{task.fields[doing]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        TimeElapsedColumn(),
        console=console,
        expand=True,
    ) as progress:
        lines = {study: _Line(progress, study) for study in STUDIES}
        analyses = {study: _submit(client, study, out / "cache", line) for study, line in lines.items()}
        return {study: _collect(client, analyses[study], out / study.name, line) for study, line in lines.items()}


def _submit(client: Client, study: Study, cache: Path, line: "_Line") -> Analysis:
    def trained(instance: int, n_epochs: int) -> None:
        done = TRAINING * (instance + 1) / study.n_instances
        line.show(f"network {instance + 1} of {study.n_instances} trained in {n_epochs} epochs", done)

    line.show(f"activations of {study.n_instances} networks", 0.0)
    files = recordings(study, cache, trained)
    line.show(f"uploading {len(files)} files of activations", TRAINING)
    analysis = submit(client, study, files)
    line.show(analysis.status, SUBMITTED)
    return analysis


def _collect(client: Client, analysis: Analysis, folder: Path, line: "_Line") -> Report:
    def show(seen: Analysis) -> None:
        line.show(seen.status, SUBMITTED + (1 - SUBMITTED) * seen.progress.fraction, detail=seen.progress.stage)

    client.wait(analysis.id, on_progress=show)
    content = client.report_as(analysis.id, "json")
    report = Report.model_validate_json(content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(content)
    (folder / "report.html").write_text(to_html(report), encoding="utf-8")
    line.show("report written", 1.0)
    return report


class _Line:
    """The progress of one study: a bar on a terminal, a line for each new step elsewhere."""

    def __init__(self, progress: Progress, study: Study) -> None:
        self._progress = progress
        self._task = progress.add_task(study.name, total=1.0, doing="waits")
        self._name, self._doing = study.name, ""

    def show(self, doing: str, done: float, *, detail: str = "") -> None:
        self._progress.update(self._task, completed=done, doing=detail or doing)
        console = self._progress.console
        if doing != self._doing and not console.is_terminal:
            console.print(f"{self._name}: {doing}", markup=False, highlight=False)
        self._doing = doing


if __name__ == "__main__":
    sys.exit(main())
