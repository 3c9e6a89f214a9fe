"""A report on a console: findings first, then tables that fit the width, in plain ASCII where need be."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contract.schemas import Interval, Report, Separation, Severity, State, TestRow
from interlayer.render import text, wording
from interlayer.render.networks import SPLITS, Gap, Network, gaps, networks, preferred

_BLOCKS = "▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS = "_.:-=+*#"
_ASCII = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "±": "+-",
        "→": "->",
        "Δ": "change",
        "·": "|",
        "…": "...",
        "✖": "x",
        "▲": "!",
        "•": "*",
        "█": "#",
    }
)

_SPLIT_STYLE = {"train": "dark_orange", "validation": "dodger_blue1"}
_SEVERITY_LOOK: dict[Severity, tuple[str, str]] = {
    "error": ("✖", "bold red"),
    "warning": ("▲", "bold yellow"),
    "info": ("•", "bold"),
}
_FAMILIES = (
    ("layer_step", "What each layer adds"),
    ("component_step", "What each block adds"),
    ("adaptation", "What training changed, trained minus untrained"),
    ("generalization", "Where training and validation part, step on training minus step on validation"),
)
# A narrow console gets fewer columns, a wide one both splits in one table.
_WIDTH_WITH_BARS = 72
_WIDTH_WITH_P_VALUE = 70
_WIDTH_WITH_INTERVAL = 56
_WIDTH_OF_STEP = 22
_WIDTH_OF_PART = 57

_Part = tuple[str | None, str | None, str | None]  # component, state, split


def print_report(report: Report, console: Console, *, full: bool = False) -> None:
    """Print a report on `console`; without `full`, a table in which no test found anything is one line."""
    screen = _Screen(console)
    screen.line("Class separation by layer", "bold")
    screen.line(wording.summary(report), "dim")
    _print_findings(report, screen)
    for network in networks(report):
        console.print()
        screen.line(wording.network_name(network), "bold underline")
        for state in network.states:
            _print_layers(network, state, screen)
        _print_contrasts(network, screen, full)
    if report.tests:
        _print_legend(report, screen)


class _Screen:
    """A console together with the characters it can show."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = console.width
        self.ascii = console.options.ascii_only

    def text(self, content: str, style: str = "") -> Text:
        """Return text that is never read as markup and never moves the cursor."""
        content = text.visible(content)
        if self.ascii:
            content = content.translate(_ASCII).encode("ascii", "backslashreplace").decode()
        return Text(content, style=style, overflow="fold")

    def line(self, content: str, style: str = "") -> None:
        self.console.print(self.text(content, style))

    def bar(self, value: float, width: int) -> str:
        """Draw 0 to 1 as a bar; what is outside stops at the end."""
        eighths = round(min(1.0, max(0.0, value)) * width * 8)
        if self.ascii:
            return "#" * round(eighths / 8)
        return "█" * (eighths // 8) + (_BLOCKS[eighths % 8 - 1] if eighths % 8 else "")

    def sparkline(self, values: Iterable[float]) -> str:
        """Draw one character for each value of 0 to 1."""
        signs = _ASCII_SPARKS if self.ascii else _SPARKS
        return "".join(signs[min(7, max(0, int(value * 8)))] for value in values)


def _print_findings(report: Report, screen: _Screen) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in report.findings:
        sign, style = _SEVERITY_LOOK[finding.severity]
        table.add_row(screen.text(f"{sign} {wording.SEVERITY[finding.severity]}", style), screen.text(finding.message))
    for warning in report.warnings:
        table.add_row(screen.text("▲ Warning", "yellow"), screen.text(f"{warning.message} ({warning.code})"))
    if table.row_count:
        screen.console.print()
        screen.console.print(table)


def _print_layers(network: Network, state: State, screen: _Screen) -> None:
    series = [found for split in SPLITS if (found := network.of(state, split))]
    by_gap = {gap.layer: gap for gap in gaps(network) if gap.state == state}
    names = list(dict.fromkeys(layer for part in series for layer in part.layers))
    first = next(iter(series[0].layers.values()))
    screen.console.print()
    screen.line(f"{wording.STATE[state]}: mean separation, 0 mixed to 1 apart ({wording.sample_size(first)})", "bold")
    bar_width = _bar_width(screen, names, len(series), bool(by_gap))
    table = _table()
    table.add_column("layer", overflow="fold")
    table.add_column(screen.text("d"), justify="right", no_wrap=True)
    for part in series:
        style = _SPLIT_STYLE[part.split]
        table.add_column(screen.text(wording.SPLIT[part.split], style), justify="right", no_wrap=True)
        if bar_width:
            spark = screen.sparkline(separation.mean for separation in part.layers.values())
            heading = spark if len(spark) <= bar_width else ""
            table.add_column(screen.text(heading, style), width=bar_width, no_wrap=True)
    if by_gap:
        table.add_column("gap", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
    for name in names:
        cells = [screen.text(name), screen.text(_dimension(series[0].layers.get(name)))]
        for part in series:
            separation = part.layers.get(name)
            cells.append(screen.text(_mean(separation)))
            if bar_width:
                cells.append(
                    screen.text(screen.bar(separation.mean if separation else 0.0, bar_width), _SPLIT_STYLE[part.split])
                )
        table.add_row(*cells, *(_gap_cells(by_gap.get(name), screen) if by_gap else ()))
    screen.console.print(table)


def _bar_width(screen: _Screen, names: Sequence[str], n_series: int, with_gap: bool) -> int:
    """Share what the numbers leave between the bars."""
    if screen.width < _WIDTH_WITH_BARS:
        return 0
    taken = max(len(text.visible(name)) for name in names) + 8 + 16 * n_series + (13 if with_gap else 0)
    width = (screen.width - taken) // n_series - 1
    return min(width, 16) if width >= 4 else 0


def _dimension(separation: Separation | None) -> str:
    return f"{separation.dimension:,}" if separation else text.MISSING


def _mean(separation: Separation | None) -> str:
    """Return the mean and the half-width of its interval, which is symmetric."""
    if separation is None:
        return text.MISSING
    bounds = separation.interval
    if bounds.low is None or bounds.high is None:
        return text.number(separation.mean)
    return f"{text.number(separation.mean)} ±{text.number((bounds.high - bounds.low) / 2)}"


def _gap_cells(gap: Gap | None, screen: _Screen) -> tuple[Text, Text]:
    if gap is None:
        return screen.text(text.MISSING), screen.text("")
    result = preferred(gap.row) if gap.row else None
    mark = text.significance(result.p_adjusted) if result else ""
    return screen.text(text.signed(gap.difference)), screen.text(mark, "bold")


def _print_contrasts(network: Network, screen: _Screen, full: bool) -> None:
    for family, title in _FAMILIES:
        parts: dict[_Part, list[TestRow]] = {}
        for row in network.family(family):
            parts.setdefault((row.component, row.state, row.split), []).append(row)
        loud = {part: rows for part, rows in parts.items() if full or any(map(_is_significant, rows))}
        together: dict[tuple[str | None, str | None], dict[_Part, list[TestRow]]] = {}
        for part, rows in loud.items():
            together.setdefault(part[:2], {})[part] = rows
        for group in together.values():
            if screen.width >= _WIDTH_OF_STEP + _WIDTH_OF_PART * len(group):
                _print_contrast(title, group, screen)
            else:
                for part, rows in group.items():
                    _print_contrast(title, {part: rows}, screen)
        quiet = {part: rows for part, rows in parts.items() if part not in loud}
        if quiet:
            screen.console.print()
        for part, rows in quiet.items():
            _print_quiet(title, part, rows, screen)


def _is_significant(row: TestRow) -> bool:
    result = preferred(row)
    return bool(result and text.significance(result.p_adjusted))


def _heading(title: str, part: _Part, screen: _Screen, *, with_split: bool) -> Text:
    component, state, split = part
    heading = screen.text(title, "bold")
    where = [word for word in (component, state) if word]
    if where:
        heading.append_text(screen.text(": " + ", ".join(where)))
    if split and with_split:
        heading.append_text(screen.text(", " if where else ": "))
        heading.append_text(screen.text(wording.SPLIT[split], _SPLIT_STYLE[split]))
    return heading


def _print_quiet(title: str, part: _Part, rows: Sequence[TestRow], screen: _Screen) -> None:
    """Say in one line that none of these tests found anything."""
    found = [p for row in rows if (result := preferred(row)) and (p := result.p_adjusted) is not None]
    smallest = f", smallest adjusted p {text.p_value(min(found))}" if found else ", no p-value available"
    line = _heading(title, part, screen, with_split=True)
    line.append_text(screen.text(f": nothing significant in {text.count(len(rows), 'test')}{smallest}.", "dim"))
    screen.console.print(line)


def _print_contrast(title: str, parts: Mapping[_Part, Sequence[TestRow]], screen: _Screen) -> None:
    screen.console.print()
    screen.console.print(_heading(title, next(iter(parts)), screen, with_split=len(parts) == 1))
    table = _table()
    steps = dict.fromkeys((row.input_layer, row.output_layer) for rows in parts.values() for row in rows)
    table.add_column("layer" if next(iter(steps))[0] is None else "step", overflow="fold")
    with_interval, with_p = screen.width >= _WIDTH_WITH_INTERVAL, screen.width >= _WIDTH_WITH_P_VALUE
    for part in parts:
        split = part[2] or ""
        heading = f"{wording.SPLIT[split]} Δ" if len(parts) > 1 and split else "Δ"
        table.add_column(screen.text(heading, _SPLIT_STYLE.get(split, "")), justify="right", no_wrap=True)
        if with_interval:
            table.add_column("interval", min_width=16, no_wrap=True)
        if with_p:
            table.add_column("p", justify="right", min_width=6, no_wrap=True)
        table.add_column("adjusted p", justify="right", no_wrap=True)
        table.add_column("", min_width=3, no_wrap=True)
    rows_of = {part: {(row.input_layer, row.output_layer): row for row in rows} for part, rows in parts.items()}
    for before, after in steps:
        cells = [screen.text(after if before is None else f"{before} → {after}")]
        for part in parts:
            cells += _contrast_cells(rows_of[part].get((before, after)), screen, with_interval, with_p)
        table.add_row(*cells)
    screen.console.print(table)


def _contrast_cells(row: TestRow | None, screen: _Screen, with_interval: bool, with_p: bool) -> list[Text]:
    result = preferred(row) if row else None
    adjusted = result.p_adjusted if result else None
    cells = [text.signed(row.difference if row else None)]
    if with_interval:
        cells.append(_interval(result.interval if result else None))
    if with_p:
        cells.append(text.p_value(result.p_value if result else None))
    return [*map(screen.text, (*cells, text.p_value(adjusted))), screen.text(text.significance(adjusted), "bold")]


def _interval(bounds: Interval | None) -> str:
    return text.interval(bounds.low, bounds.high) if bounds else text.MISSING


def _print_legend(report: Report, screen: _Screen) -> None:
    used = {result.method for row in report.tests if (result := preferred(row))}
    screen.console.print()
    screen.line("* adjusted p < 0.05, ** < 0.01, *** < 0.001.", "dim")
    for name in sorted(used):
        method = wording.method(name)
        screen.line(f"p by {method.heading}: holds {method.assumes}", "dim")


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
