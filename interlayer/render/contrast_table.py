"""Tables of contrasts: Δ as a bar with its interval, p, adjusted p, and the p-values of the other tests."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from contract.schemas import TestResult, TestRow
from interlayer.render import drawing, text, wording
from interlayer.render.data_table import data_table, folded, name
from interlayer.render.drawing import Scale
from interlayer.render.networks import Contrasts, result_by

_BAR_WIDTH = 112
_BAR_HEIGHT = 18
_MOST_ROWS = 30  # more are folded away, below those with the largest changes
_LARGEST = 12
_LONGEST_NAME = 34
_ALTERNATIVE = {
    "greater": "one-sided: is Δ above zero?",
    "less": "one-sided: is Δ below zero?",
    "two-sided": "two-sided: is Δ other than zero?",
}


def bar_scale(rows: Iterable[TestRow]) -> Scale:
    """Return one scale for the bars of all `rows`, with zero in it."""
    ends = [-0.02, 0.02]
    for row in rows:
        ends.append(row.difference)
        for bounds in (result.interval for result in row.results if result.interval):
            ends += [end for end in (bounds.low, bounds.high) if end is not None]
    return Scale(min(ends), max(ends), 3, _BAR_WIDTH - 3)


def contrast_tables(tables: Sequence[Contrasts], scale: Scale) -> str:
    """Return the tables one below the other; those of an untrained network are folded away."""
    shown = "".join(_table(table, scale) for table in tables if table.state != "untrained")
    rest = "".join(_table(table, scale) for table in tables if table.state == "untrained")
    return shown + (folded("The same for the untrained network", rest) if shown and rest else rest)


def assumptions(rows: Iterable[TestRow], *, shift: bool = False, shown: bool = False) -> str:
    """Return what each of the tests in `rows` assumes, and where it stands beside them the test of a shift."""
    rows = list(rows)
    known = list(wording.METHODS)
    found = dict.fromkeys(result.method for row in rows for result in row.results)
    ordered = sorted(found, key=lambda method: known.index(method) if method in known else len(known))
    methods = [*map(wording.method, ordered), *([wording.SHIFT] if shift else [])]
    items = [f"<dt>{escape(method.heading)}<dd>Holds {escape(method.assumes)}" for method in methods]
    adjustments = sorted({result.adjustment for row in rows for result in row.results if result.adjustment})
    if adjustments:
        named = escape(", ".join(text.visible(adjustment).capitalize() for adjustment in adjustments))
        items.append(f"<dt>adjusted p<dd>{named}, over the tests of one table.")
    return (
        folded("What each test assumes", f'<dl class="facts tests">{"".join(items)}</dl>', shown=shown) if items else ""
    )


def _table(table: Contrasts, scale: Scale) -> str:
    first = table.rows[0]
    level = next((result.interval.level for row in table.rows for result in row.results if result.interval), None)
    heads = [
        "layer" if first.input_layer is None else "step",
        "",
        "Δ",
        "interval" if level is None else f"{level:.0%} interval",
        *p_value_heads([table.method] if table.method else []),
        "",
        *p_value_heads(table.others),
    ]
    caption = f'<strong class="{table.split or "both"}">{escape(_caption(table))}</strong> '

    names = _names(table)
    labels = ["", "", "", "", *_methods(table.method), "", *_methods(*table.others)]

    def drawn(rows: Sequence[TestRow], said: str) -> str:
        return data_table(
            _caption(table),
            heads,
            (_row(row, table, scale, names) for row in rows),
            caption=f"{caption}<small>{said}</small>",
            class_=f"contrast of-{table.split or 'both'}",
            labels=labels,
        )

    asked, reasons = _ALTERNATIVE[first.alternative], missing(table.reasons(others=True))
    if len(table.rows) <= _MOST_ROWS:
        return drawn(table.rows, asked) + reasons
    largest = sorted(table.rows, key=lambda row: -abs(row.difference))[:_LARGEST]
    few = drawn([row for row in table.rows if row in largest], f"the {_LARGEST} largest changes, {asked}")
    return few + folded(f"All {len(table.rows)} of them", drawn(table.rows, asked)) + reasons


def p_value_heads(methods: Iterable[str]) -> list[str]:
    """Return the headings of the columns of tests."""
    return [f"p\N{NO-BREAK SPACE}(adjusted), {wording.method(method).heading}" for method in methods]


def p_value_cells(row: TestRow | None, methods: Iterable[str]) -> list[str]:
    """Return what tests say of a contrast."""
    found = [result_by(row, method) if row else None for method in methods]
    return [escape(text.p_values(result.p_value, result.p_adjusted) if result else text.MISSING) for result in found]


def missing(reasons: Iterable[str]) -> str:
    """Return below a table why some of its numbers are missing."""
    said = "; ".join(escape(text.visible(reason)) for reason in reasons)
    return f"<p class=muted><small>{text.MISSING} {said}</small></p>" if said else ""


def _caption(table: Contrasts) -> str:
    data = f"{wording.SPLIT[table.split]} data" if table.split else "training minus validation data"
    network = "" if table.state is None else f"{wording.STATE[table.state].lower()} network, "
    said = network + data
    return f"{text.visible(table.component)}: {said}" if table.component else said.capitalize()


def _names(table: Contrasts) -> dict[str | None, str]:
    """Return the names of the layers as markup; where they are long, what tells them apart."""
    layers = list(dict.fromkeys(layer for row in table.rows for layer in (row.input_layer, row.output_layer) if layer))
    short = text.told_apart(layers, _LONGEST_NAME)
    return {layer: name(shown, whole=layer) for layer, shown in zip(layers, short, strict=True)}


def _methods(*names: str | None) -> list[str]:
    return [wording.method(method).heading for method in names if method]


def _row(row: TestRow, table: Contrasts, scale: Scale, names: Mapping[str | None, str]) -> list[str]:
    result = table.result(row)
    bounds = result.interval if result else None
    adjusted = result.p_adjusted if result else None
    mark = text.significance(adjusted)
    said = escape(f"significant: adjusted p {text.p_value(adjusted)}")
    return [
        names[row.output_layer] if row.input_layer is None else f"{names[row.input_layer]} → {names[row.output_layer]}",
        _bar(row, result, scale),
        text.signed(row.difference),
        text.interval(bounds.low, bounds.high) if bounds else text.MISSING,
        *p_value_cells(row, [table.method] if table.method else []),
        f'<abbr title="{said}">{mark}</abbr>' if mark else "",
        *p_value_cells(row, table.others),
    ]


def _bar(row: TestRow, result: TestResult | None, scale: Scale) -> str:
    middle = _BAR_HEIGHT / 2
    zero, end = scale(0), scale(row.difference)
    parts = [
        drawing.vertical(zero, 0, _BAR_HEIGHT, "zero"),
        drawing.element("rect", x=min(zero, end), y=middle - 4, width=abs(end - zero), height=8, class_="bar"),
    ]
    bounds = result.interval if result else None
    if bounds is not None and bounds.low is not None and bounds.high is not None:
        parts.append(drawing.horizontal(middle, scale(bounds.low), scale(bounds.high), "interval"))
    return drawing.element(
        "svg", "".join(parts), class_="delta", width=_BAR_WIDTH, height=_BAR_HEIGHT, aria_hidden="true"
    )
