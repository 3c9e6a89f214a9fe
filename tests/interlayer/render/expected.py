"""How the numbers of a report are written, worked out apart from the renderings."""

import csv
import io

from rich.console import Console

from contract.schemas import Report, Separation, TestResult
from interlayer.render.terminal import print_report

ROLES = (("trained", "train"), ("trained", "validation"), ("untrained", "train"), ("untrained", "validation"))
WORD = {"train": "training", "validation": "validation"}


def shown(number: float | None, places: int = 3) -> str:
    if number is None:
        return "–"
    written = f"{number:.{places}f}"
    return (written.removeprefix("-") if float(written) == 0 else written).replace("-", "−")


def signed(number: float, places: int = 3) -> str:
    written = shown(number, places)
    return written if written.startswith("−") or float(written) == 0 else f"+{written}"


def p(number: float | None) -> str:
    if number is None:
        return "–"
    return "<0.001" if number < 0.001 else f"{number:.3f}"


def both(result: TestResult) -> str:
    return f"{p(result.p_value)} ({p(result.p_adjusted)})"


def of(report: Report, state: str, split: str) -> list[Separation]:
    return [part for part in report.separations if (part.state, part.split) == (state, split)]


def numbers(part: Separation) -> list[str]:
    """What is known of one mean, in the order of the tables."""
    assert part.any_separation
    assert part.trend
    assert part.draws
    return [
        shown(part.any_separation.statistic), p(part.any_separation.p_value), *map(shown, part.trend.means),
        shown(part.trend.limit), shown(part.draws.mean), shown(part.draws.sd),
        f"[{shown(part.draws.min)}, {shown(part.draws.max)}]",
    ]  # fmt: skip


def printed(report: Report, width: int, *, full: bool) -> str:
    target = io.StringIO()
    print_report(report, Console(file=target, width=width, color_system=None), full=full)
    return target.getvalue()


def parsed(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content, newline="")))
