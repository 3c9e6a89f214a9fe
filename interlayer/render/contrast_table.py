"""Tables of contrasts: Δ as a bar with its interval, p, adjusted p, and the p-values of the other tests."""

from collections.abc import Iterable, Sequence
from html import escape

from contract.schemas import TestResult, TestRow
from interlayer.render import drawing, text, wording
from interlayer.render.data_table import data_table, folded, name
from interlayer.render.drawing import Scale
from interlayer.render.networks import preferred

_BAR_WIDTH = 132
_BAR_HEIGHT = 18
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


def contrast_tables(rows: Sequence[TestRow], scale: Scale) -> str:
    """Return one table for each component, state and split; those of an untrained network are folded away."""
    groups: dict[tuple[str | None, str | None, str | None], list[TestRow]] = {}
    for row in rows:
        groups.setdefault((row.component, row.state, row.split), []).append(row)
    shown = "".join(_table(members, scale) for group, members in groups.items() if group[1] != "untrained")
    rest = "".join(_table(members, scale) for group, members in groups.items() if group[1] == "untrained")
    return shown + (folded("The same for the untrained network", rest) if shown and rest else rest)


def assumptions(rows: Iterable[TestRow]) -> str:
    """Return what each of the tests in `rows` assumes."""
    known = list(wording.METHODS)
    found = dict.fromkeys(result.method for row in rows for result in row.results)
    ordered = sorted(found, key=lambda method: known.index(method) if method in known else len(known))
    items = [
        f"<dt>{escape(wording.method(method).heading)}<dd>Holds {escape(wording.method(method).assumes)}"
        for method in ordered
    ]
    adjustments = sorted({result.adjustment for row in rows for result in row.results if result.adjustment})
    if adjustments:
        named = escape(", ".join(text.visible(adjustment).capitalize() for adjustment in adjustments))
        items.append(f"<dt>adjusted p<dd>{named}, over the tests of one table.")
    return folded("What each test assumes", f"<dl>{''.join(items)}</dl>") if items else ""


def _table(rows: Sequence[TestRow], scale: Scale) -> str:
    first = rows[0]
    main = next((result.method for row in rows if (result := preferred(row))), None)
    methods = dict.fromkeys(result.method for row in rows for result in row.results)
    others = [method for method in methods if method != main]
    level = next((result.interval.level for row in rows for result in row.results if result.interval), None)
    heads = [
        "layer" if first.input_layer is None else "step",
        "",
        "Δ",
        "interval" if level is None else f"{level:.0%} interval",
        f"p, {wording.method(main).heading}" if main else "p",
        "adjusted\N{NO-BREAK SPACE}p",
        "",
        *(f"p, {wording.method(method).heading}" for method in others),
    ]
    caption = f'<strong class="{first.split or "both"}">{escape(_caption(first))}</strong> '
    return data_table(
        _caption(first),
        heads,
        (_row(row, main, others, scale) for row in rows),
        caption=f"{caption}<small>{_ALTERNATIVE[first.alternative]}</small>",
        class_=f"contrast of-{first.split or 'both'}",
    )


def _caption(row: TestRow) -> str:
    data = f"{wording.SPLIT[row.split]} data" if row.split else "training minus validation data"
    network = "" if row.state is None else f"{wording.STATE[row.state].lower()} network, "
    component = f"{text.visible(row.component)}: " if row.component else ""
    said = component + network + data
    return said if row.component else said.capitalize()


def _row(row: TestRow, main: str | None, others: Sequence[str], scale: Scale) -> list[str]:
    by_method = {result.method: result for result in row.results}
    result = by_method.get(main) if main else None
    bounds = result.interval if result else None
    adjusted = result.p_adjusted if result else None
    mark = text.significance(adjusted)
    said = escape(f"significant: adjusted p {text.p_value(adjusted)}")
    return [
        name(row.output_layer) if row.input_layer is None else f"{name(row.input_layer)} → {name(row.output_layer)}",
        _bar(row, result, scale),
        text.signed(row.difference),
        text.interval(bounds.low, bounds.high) if bounds else text.MISSING,
        _p(result),
        escape(text.p_value(adjusted)),
        f'<abbr title="{said}">{mark}</abbr>' if mark else "",
        *(_p(by_method.get(method)) for method in others),
    ]


def _p(result: TestResult | None) -> str:
    if result is None:
        return text.MISSING
    if result.p_value is None and result.reason:
        return f"<small>{escape(text.visible(result.reason))}</small>"
    return escape(text.p_value(result.p_value))


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
