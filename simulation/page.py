"""docs/scaling.md: what was measured, what is simulated from it, and what it means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulation import study
from simulation.chart import curves
from simulation.study import Point

_START, _END = "<!-- simulation:start -->", "<!-- simulation:end -->"
_LIMIT = 0.9  # a database that is busy for more of the time is what everybody waits for
_SHOWN = (1, 10, 100, 500, 1000)


def write_page(measured: Mapping[str, Any], docs: Path) -> None:
    """Simulate everything, draw the pictures, and replace the simulated part of the page."""
    page = docs / "scaling.md"
    before, rest = page.read_text().split(_START)
    after = rest.split(_END)[1]
    lines = [*_measured(measured), "", *_reproduced(measured)]
    for name, title, growing, scenarios in (
        ("databases", "Work that grows with the workers, by database", True, study.databases(measured)),
        ("troubles", "The same on PostgreSQL, when something goes wrong", True, study.troubles(measured)),
        ("one-job", "One job of 4,000 parts of 20 s", False, study.troubles(measured)[:2]),
    ):
        run = study.growing if growing else study.fixed
        points = {scenario.name: run(scenario) for scenario in scenarios}
        drawn = {each: [(point.workers, point.speed_up) for point in found] for each, found in points.items()}
        (docs / "pictures" / f"scaling-{name}.svg").write_text(curves(f"{title}: speed-up", drawn))
        lines += ["", f"### {title}", "", f"![{title}: speed-up](pictures/scaling-{name}.svg)", "", *_table(points)]
    page.write_text(f"{before}{_START}\n" + "\n".join(lines) + f"\n{_END}{after}")


def _measured(measured: Mapping[str, Any]) -> list[str]:
    lines = ["| milliseconds | claim | heartbeat that looks | heartbeat that writes | end |", "|---|---|---|---|---|"]
    for name, times in measured["databases"].items():
        cells = " | ".join(f"{1000 * times[key]:.2f}" for key in ("claim", "read", "write", "end"))
        lines.append(f"| {name} | {cells} |")
    return lines


def _reproduced(measured: Mapping[str, Any]) -> list[str]:
    lines = ["| run | measured, s | simulated, s | simulated ÷ measured |", "|---|---|---|---|"]
    for name, real, simulated in study.reproduced(measured):
        lines.append(f"| {name} | {real:.1f} | {simulated:.1f} | {simulated / real:.2f} |")
    return lines


def _table(points: Mapping[str, Sequence[Point]]) -> list[str]:
    lines = ["| speed-up with … workers | " + " | ".join(f"{n:,}" for n in _SHOWN) + " | the database is full at |"]
    lines.append("|---" * (len(_SHOWN) + 2) + "|")
    for name, found in points.items():
        by_workers = {point.workers: point for point in found}
        cells = " | ".join(f"{by_workers[n].speed_up:,.0f}" for n in _SHOWN)
        full = next((f"{point.workers:,} workers" for point in found if point.result.database_busy > _LIMIT), "–")
        lines.append(f"| {name} | {cells} | {full} |")
    return lines
