"""Where the command writes: results to stdout or files, progress to stderr."""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from contract.schemas import Analysis, Report


def stderr_console() -> Console:
    """Return the console for everything that is not the result."""
    return Console(stderr=True, highlight=False)


class ProgressLine:
    """A live bar on a terminal; a line now and then elsewhere."""

    def __init__(self, console: Console, bar: Progress) -> None:
        self._console, self._bar = console, bar
        self._task = bar.add_task("waiting", total=1.0)
        self._shown = -1

    def update(self, stage: str, done: int, total: int, fraction: float) -> None:
        """Show how far the work is."""
        if self._console.is_terminal:
            self._bar.update(self._task, description=stage, completed=fraction, done=done, layers=total)
        elif int(fraction * 10) > self._shown:
            self._shown = int(fraction * 10)
            self._console.print(f"{self._shown * 10:3d}%  {stage}", markup=False)

    def analysis(self, analysis: Analysis) -> None:
        """Show how far a service is."""
        progress = analysis.progress
        stage = progress.stage if analysis.status == "running" else analysis.status
        self.update(stage, progress.done, progress.total, progress.fraction)


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """Show progress on stderr while the block runs."""
    console = stderr_console()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield ProgressLine(console, bar)


@dataclass(frozen=True)
class Targets:
    """Where a report is to be written; what is None is not wanted."""

    output: Path | None = None
    html: Path | None = None
    csv: Path | None = None
    tests_csv: Path | None = None
    paper_csv: Path | None = None
    markdown: Path | None = None
    svg: Path | None = None
    as_json: bool = False
    full: bool = False
    png: Path | None = None

    def require_places(self) -> None:
        """Find out before a long computation what cannot be written after it; errors as those of `require_place`."""
        files = (self.output, self.html, self.csv, self.tests_csv, self.paper_csv, self.markdown)
        charts = [path for path in (self.svg, self.png) if path is not None and path.suffix and not path.is_dir()]
        for path in (*files, *charts):
            require_place(path)


def require_place(path: Path | None) -> None:
    """Require that a file could be written where it is wanted, as far as names tell.

    Raises
    ------
    OSError
        Its folder does not exist, or it is a folder itself.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent}", str(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder", str(path))


def write_report(report: Report, targets: Targets) -> None:
    """Write the report where it was asked for; with no --output and no --json, print it for people."""
    from interlayer.render.html import to_html
    from interlayer.render.tables import contrasts_to_csv, paper_to_csv, to_csv, to_markdown

    renderings: list[tuple[Path | None, Callable[[Report], str]]] = [
        (targets.html, to_html),
        (targets.csv, to_csv),
        (targets.tests_csv, contrasts_to_csv),
        (targets.paper_csv, paper_to_csv),
        (targets.markdown, to_markdown),
    ]
    write_charts(report, targets.svg, targets.png)
    if targets.output is not None:
        targets.output.write_bytes(report.to_bytes())
    for path, render in renderings:
        if path is not None:
            path.write_text(render(report), encoding="utf-8")
    if targets.as_json:
        sys.stdout.buffer.write(report.to_bytes())
    elif targets.output is None:
        print_report(report, full=targets.full)


def write_charts(report: Report, svg: Path | None, png: Path | None) -> None:
    """Write the picture of the layers to a file, or every chart into a folder: a path without a suffix is one."""
    if svg is None and png is None:
        return
    from interlayer.errors import UsageError
    from interlayer.render.png import PngUnavailable, to_png
    from interlayer.render.svg import pictures, to_svg

    for target, kind in ((svg, "svg"), (png, "png")):
        if target is None:
            continue
        charts = {target: to_svg(report)}
        if target.is_dir() or not target.suffix:
            target.mkdir(parents=True, exist_ok=True)
            charts = {
                target / f"{found.name}-{found.network}.{kind}": to_svg(report, found.name, network=found.network)
                for found in pictures(report)
            }
        for path, chart in charts.items():
            try:
                path.write_bytes(chart.encode() if kind == "svg" else to_png(chart))
            except PngUnavailable as error:
                raise UsageError(str(error)) from error


def print_report(report: Report, *, full: bool = False) -> None:
    """Print a report for people."""
    from interlayer.render.terminal import print_report as render

    render(report, Console(), full=full)


def print_json(value: Any) -> None:
    """Print a resource as JSON."""
    sys.stdout.write(value.model_dump_json(indent=2) + "\n")
