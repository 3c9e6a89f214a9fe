"""On a console: training against validation data sample by sample, and what the means depend on."""

from collections.abc import Iterable

from rich.table import Table

from interlayer.render import text, wording
from interlayer.render.networks import Contrasts, Network, contrasts
from interlayer.render.screen import Screen, columns_table
from interlayer.render.trust import SAMPLE_TESTS, Answer, about_means, about_splits, columns, reasons

_WIDTH_WITH_ALL_TESTS = 86
_WIDTH_WITH_ALL_NUMBERS = 78
_WIDTH_WITH_FIRST_TEST = 60
_NARROW_COLUMNS = ("p", "n", "limit", "their sd")


def print_splits(network: Network, screen: Screen, *, full: bool) -> None:
    """Print what tests sample by sample have found; with `full` beside all other tests of the gap, layer by layer."""
    _print_answers("Training against validation, sample by sample", about_splits(network), screen)
    if full:
        for table in contrasts(network, "generalization_gap"):
            _print_gap(network, table, screen)


def print_trust(network: Network, screen: Screen, *, full: bool) -> None:
    """Print what the means depend on; with `full` layer by layer."""
    _print_answers(wording.SECTIONS["trust"].title, about_means(network), screen)
    numbers = columns(network.series)
    if not full or not numbers:
        return
    if screen.width < _WIDTH_WITH_ALL_NUMBERS:
        numbers = [column for column in numbers if column.heading in _NARROW_COLUMNS]
    else:
        numbers = numbers[:-1] if numbers[-1].heading == "their range" else numbers  # their sd says enough
    for series in network.series:
        screen.console.print()
        screen.line(f"{wording.STATE[series.state]} network, {wording.SPLIT[series.split]} data", "bold")
        table = _numbers_table(["layer", *(column.heading for column in numbers)], screen)
        for part in series.layers.values():
            table.add_row(*(screen.text(cell) for cell in (part.layer, *(column.cell(part) for column in numbers))))
        screen.console.print(table)
    for reason in reasons(network.series):
        screen.line(f"{text.MISSING} {reason}", "dim")


def _print_answers(title: str, answers: Iterable[Answer], screen: Screen) -> None:
    lines = Table.grid(padding=(0, 2, 0, 0))
    for answer in answers:
        lines.add_row(screen.text(answer.question), screen.text(answer.said))
    if lines.row_count:
        screen.console.print()
        screen.line(title, "bold")
        screen.console.print(lines)


def _print_gap(network: Network, table: Contrasts, screen: Screen) -> None:
    shifts = {shift.layer: shift for shift in network.shifts if shift.state == table.state}
    wide = screen.width >= _WIDTH_WITH_FIRST_TEST
    methods = _methods(table, screen.width)
    state = f", {wording.STATE[table.state].lower()} network" if table.state else ""
    screen.console.print()
    screen.line(f"Training minus validation{state}: adjusted p", "bold")
    heads = ["layer", "gap", *(wording.method(method).heading for method in methods)]
    if shifts:
        heads += ["shift z", "shift p"] if wide else ["shift p"]
    drawn = _numbers_table(heads, screen)
    for row in table.rows:
        results = {result.method: result for result in row.results}
        cells = [row.output_layer, text.signed(row.difference)]
        cells += [text.p_value(results[method].p_adjusted if method in results else None) for method in methods]
        if shifts:
            shift = shifts.get(row.output_layer)
            cells += [text.signed(shift.statistic if shift else None, 2)] if wide else []
            cells.append(text.p_value(shift.p_value if shift else None))
        drawn.add_row(*map(screen.text, cells))
    screen.console.print(drawn)


def _methods(table: Contrasts, width: int) -> list[str]:
    """Return the tests that fit the width: those sample by sample, the table's own, all of them."""
    methods = [*([table.method] if table.method else []), *table.others]
    if width >= _WIDTH_WITH_ALL_TESTS:
        return methods
    with_first = width >= _WIDTH_WITH_FIRST_TEST or not set(methods) & set(SAMPLE_TESTS)
    return [method for method in methods if method in SAMPLE_TESTS or (with_first and method == table.method)]


def _numbers_table(heads: Iterable[str], screen: Screen) -> Table:
    first, *others = heads
    table = columns_table()
    table.add_column(screen.text(first), overflow="fold")
    for head in others:
        # Headings may break into lines, numbers must not.
        table.add_column(screen.text(head), justify="right", min_width=6)
    return table
