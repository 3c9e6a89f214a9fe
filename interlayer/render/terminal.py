"""A report on a console: findings first, then tables that fit the width, in plain ASCII where need be."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from contract.schemas import Interval, Report, Separation, Severity, State, TestRow
from interlayer.render import text, wording
from interlayer.render.networks import SPLITS, Contrasts, Gap, Network, contrasts, gaps, networks
from interlayer.render.screen import Screen, columns_table
from interlayer.render.terminal_trust import print_splits, print_trust
from interlayer.render.trust import SAMPLE_TESTS

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
_MOST_NAMED = 3


def print_report(report: Report, console: Console, *, full: bool = False) -> None:
    """Print a report on `console`; without `full`, tables of the untrained network or without a find are a line."""
    screen = Screen(console)
    screen.line("Class separation by layer", "bold")
    screen.line(wording.summary(report), "dim")
    _print_findings(report, screen)
    found = networks(report)
    for network in found:
        console.print()
        screen.line(wording.network_name(network), "bold underline")
        for state in network.states:
            _print_layers(network, state, screen)
        print_splits(network, screen, full=full)
        _print_contrasts(network, screen, full)
        print_trust(network, screen, full=full)
    if found:
        _print_legend(found, screen, full)


def _print_findings(report: Report, screen: Screen) -> None:
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


def _print_layers(network: Network, state: State, screen: Screen) -> None:
    series = [found for split in SPLITS if (found := network.of(state, split))]
    by_gap = {gap.layer: gap for gap in gaps(network) if gap.state == state}
    names = list(dict.fromkeys(layer for part in series for layer in part.layers))
    first = next(iter(series[0].layers.values()))
    screen.console.print()
    screen.line(f"{wording.STATE[state]}: mean separation, 0 to 1, of {wording.sample_size(first)}", "bold")
    bar_width = _bar_width(screen, names, len(series), bool(by_gap))
    table = columns_table()
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
        table.add_column("", min_width=3, no_wrap=True)
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


def _bar_width(screen: Screen, names: Sequence[str], n_series: int, with_gap: bool) -> int:
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


def _gap_cells(gap: Gap | None, screen: Screen) -> tuple[Text, Text]:
    if gap is None:
        return screen.text(text.MISSING), screen.text("")
    mark = text.significance(gap.result.p_adjusted) if gap.result else ""
    return screen.text(text.signed(gap.difference)), screen.text(mark, "bold")


def _print_contrasts(network: Network, screen: Screen, full: bool) -> None:
    for family, title in _FAMILIES:
        tables = contrasts(network, family)
        shown = [table for table in tables if full or (table.state != "untrained" and _significant(table))]
        together: dict[tuple[str | None, str | None], list[Contrasts]] = {}
        for table in shown:
            together.setdefault((table.component, table.state), []).append(table)
        for group in together.values():
            if screen.width >= _WIDTH_OF_STEP + _WIDTH_OF_PART * len(group):
                _print_contrast(title, group, screen)
            else:
                for table in group:
                    _print_contrast(title, [table], screen)
        rest = [table for table in tables if table not in shown]
        if rest and not shown:
            screen.console.print()
            screen.line(title, "bold")
        _print_in_lines(rest, screen)


def _significant(table: Contrasts) -> list[TestRow]:
    return [row for row in table.rows if (found := table.result(row)) and text.significance(found.p_adjusted)]


def _where(table: Contrasts, screen: Screen, *, with_split: bool = True) -> Text:
    """Return component, state and split of a table, the split in its colour."""
    where = screen.text(", ".join(word for word in (table.component, table.state) if word))
    if table.split and with_split:
        where.append_text(screen.text(", " if where.plain else ""))
        where.append_text(screen.text(wording.SPLIT[table.split], _SPLIT_STYLE[table.split]))
    return where


def _print_in_lines(tables: Sequence[Contrasts], screen: Screen) -> None:
    """Say of each table in one line what is significant in it."""
    lines = Table.grid(padding=(0, 2, 0, 0))
    for table in tables:
        lines.add_row(_where(table, screen), screen.text(_in_a_line(table)))
    if tables:
        screen.console.print(lines)


def _in_a_line(table: Contrasts) -> str:
    found = _significant(table)
    said = f"{len(found) if found else 'nothing'} significant in {text.count(len(table.rows), 'test')}"
    silent = sum((result := table.result(row)) is None or result.p_value is None for row in table.rows)
    if silent:
        said += f", {silent} without a p-value ({'; '.join(table.reasons())})"
    named = [f"{_place(row)} {text.signed(row.difference)}" for row in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        named.append(f"{len(found) - _MOST_NAMED} more")
    return f"{said}: {', '.join(named)}" if named else said


def _place(row: TestRow) -> str:
    return row.output_layer if row.input_layer is None else f"{row.input_layer} → {row.output_layer}"


def _print_contrast(title: str, tables: Sequence[Contrasts], screen: Screen) -> None:
    screen.console.print()
    title_line = screen.text(f"{title}: ", "bold")
    screen.console.print(title_line.append_text(_where(tables[0], screen, with_split=len(tables) == 1)))
    drawn = columns_table()
    places = dict.fromkeys(_place(row) for table in tables for row in table.rows)
    drawn.add_column("layer" if tables[0].rows[0].input_layer is None else "step", overflow="fold")
    with_interval, with_p = screen.width >= _WIDTH_WITH_INTERVAL, screen.width >= _WIDTH_WITH_P_VALUE
    for table in tables:
        split = table.split or ""
        heading = f"{wording.SPLIT[split]} Δ" if len(tables) > 1 and split else "Δ"
        drawn.add_column(screen.text(heading, _SPLIT_STYLE.get(split, "")), justify="right", no_wrap=True)
        if with_interval:
            drawn.add_column("interval", justify="right", min_width=16, no_wrap=True)
        if with_p:
            drawn.add_column("p", justify="right", min_width=6, no_wrap=True)
        drawn.add_column("adjusted p", justify="right", no_wrap=True)
        drawn.add_column("", min_width=3, no_wrap=True)
    rows_of = [{_place(row): row for row in table.rows} for table in tables]
    for place in places:
        cells = [screen.text(place)]
        for table, rows in zip(tables, rows_of, strict=True):
            cells += _contrast_cells(table, rows.get(place), screen, with_interval, with_p)
        drawn.add_row(*cells)
    screen.console.print(drawn)
    for reason in dict.fromkeys(reason for table in tables for reason in table.reasons()):
        screen.line(f"{text.MISSING} {reason}", "dim")


def _contrast_cells(
    table: Contrasts, row: TestRow | None, screen: Screen, with_interval: bool, with_p: bool
) -> list[Text]:
    result = table.result(row) if row else None
    adjusted = result.p_adjusted if result else None
    cells = [text.signed(row.difference if row else None)]
    if with_interval:
        cells.append(_interval(result.interval if result else None))
    if with_p:
        cells.append(text.p_value(result.p_value if result else None))
    return [*map(screen.text, (*cells, text.p_value(adjusted))), screen.text(text.significance(adjusted), "bold")]


def _interval(bounds: Interval | None) -> str:
    return text.interval(bounds.low, bounds.high) if bounds else text.MISSING


def _print_legend(found: Sequence[Network], screen: Screen, full: bool) -> None:
    families = [family for family, _ in _FAMILIES] + ["generalization_gap"]
    tables = [table for network in found for family in families for table in contrasts(network, family)]
    used = {table.method for table in tables if table.method}
    used |= {method for table in tables for method in table.others if full or method in SAMPLE_TESTS}
    screen.console.print()
    screen.line(f"± {wording.interval_of(next(iter(found[0].series[0].layers.values())))}", "dim")
    if used:
        screen.line("* adjusted p < 0.05, ** < 0.01, *** < 0.001", "dim")
    methods = [wording.method(name) for name in sorted(used)]
    if any(network.shifts for network in found):
        methods.append(wording.SHIFT)
    for method in methods:
        screen.line(f"p by {method.heading}: holds {method.assumes}", "dim")
