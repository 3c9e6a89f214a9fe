"""Class pairs at one layer: training above, validation below the diagonal, as a table that is its own picture."""

import math
from collections.abc import Sequence
from html import escape

from contract.schemas import Report, Separation, State
from interlayer.render import palette, text, wording
from interlayer.render.data_table import data_table, name
from interlayer.render.figure import figure
from interlayer.render.networks import Network
from interlayer.render.scatter_chart import scatter_chart

MOST_CLASSES_IN_A_TABLE = 20
MOST_VALUES_IN_TABLES = 60_000  # of a whole report: keeps the page below two megabytes
_LISTED_PAIRS = 20
_LONGEST_NAME = 12

Matrix = list[list[float | None]]


def in_tables(report: Report) -> bool:
    """Whether every pair is printed; a larger report shows colours and lists the lowest pairs."""
    values = sum(len(part.pairs.statistic) for part in report.separations)
    return len(report.classes) <= MOST_CLASSES_IN_A_TABLE and values <= MOST_VALUES_IN_TABLES


def layer_heat_maps(network: Network, layer: str, classes: Sequence[str], *, printed: bool) -> str:
    """Return the heat maps of one layer, one for each state."""
    maps = []
    for state in network.states:
        train, validation = (
            series.layers.get(layer) if (series := network.of(state, split)) else None
            for split in ("train", "validation")
        )
        if train or validation:
            draw = _table if printed else _image
            chart = scatter_chart(state, layer, train, validation)
            scatter = figure("scatter", chart) if chart else ""
            maps.append(f"<div>{draw(state, layer, classes, train, validation)}{scatter}</div>")
    return f'<div class="heats">{"".join(maps)}</div>'


def matrix(classes: Sequence[str], train: Separation | None, validation: Separation | None) -> Matrix:
    """Place training values above and validation values below the diagonal."""
    position = {name: index for index, name in enumerate(classes)}
    cells: Matrix = [[None] * len(classes) for _ in classes]
    for part, above in ((train, True), (validation, False)):
        if part is None:
            continue
        for a, b, value in zip(part.pairs.class_a, part.pairs.class_b, part.pairs.statistic, strict=True):
            low, high = sorted((position[a], position[b]))
            row, column = (low, high) if above else (high, low)
            cells[row][column] = value
    return cells


def _caption(state: State, train: Separation | None, validation: Separation | None) -> str:
    means = ", ".join(
        f'<span class="{split}">{wording.SPLIT[split]} {text.number(part.mean)}</span>'
        for split, part in (("train", train), ("validation", validation))
        if part
    )
    return f"<strong>{wording.STATE[state]}</strong>, mean: {means}"


def _said(state: State, layer: str) -> str:
    return escape(f"{wording.STATE[state]} network, class pairs at {text.visible(layer)}")


def _table(
    state: State, layer: str, classes: Sequence[str], train: Separation | None, validation: Separation | None
) -> str:
    names = [text.shortened(name, _LONGEST_NAME) for name in classes]
    long = any(len(name) > 3 for name in names)
    head = "".join(f"<th scope=col><span>{escape(name)}</span>" for name in names)
    rows = []
    for index, cells in enumerate(matrix(classes, train, validation)):
        row = "".join(_cell(value, diagonal=index == column) for column, value in enumerate(cells))
        rows.append(f"<tr><th scope=row>{escape(names[index])}{row}")
    kind = "heat long" if long else "heat"
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{_said(state, layer)}">'
        f'<table class="{kind}" data-state="{state}"><caption>{_caption(state, train, validation)}</caption>'
        f"<thead><tr><td>{head}<tbody>{''.join(rows)}</table></div>"
    )


def _cell(value: float | None, *, diagonal: bool) -> str:
    if value is None:
        return "<td class=d>" if diagonal else "<td>"
    return f"<td class=h{palette.level(value)}>{short(value)}"


def short(value: float) -> str:
    """Return two places without the leading zero, so that a cell stays narrow."""
    shown = text.number(value, 2)
    return shown.replace("0.", ".", 1) if abs(value) < 0.995 else shown


def _image(
    state: State, layer: str, classes: Sequence[str], train: Separation | None, validation: Separation | None
) -> str:
    size = max(1, math.ceil(320 / len(classes))) * len(classes)
    lists = "".join(
        _lowest(wording.SPLIT[split], part) for split, part in (("train", train), ("validation", validation)) if part
    )
    return (
        f"<div><p class=caption>{_caption(state, train, validation)}</p>"
        f'<img class="heat" alt="{_said(state, layer)}, by colour" width="{size}" height="{size}" '
        f'src="{palette.image(matrix(classes, train, validation))}">'
        f"<details><summary>The least separated pairs</summary>{lists}</details></div>"
    )


def _lowest(split: str, part: Separation) -> str:
    pairs = part.pairs
    order = sorted(range(len(pairs.statistic)), key=pairs.statistic.__getitem__)[:_LISTED_PAIRS]
    rows = [
        [
            name(text.shortened(pairs.class_a[i], 40)),
            name(text.shortened(pairs.class_b[i], 40)),
            text.number(pairs.statistic[i]),
        ]
        for i in order
    ]
    caption = f"{len(order)} lowest of {len(pairs.statistic):,} on {split} data"
    return data_table(caption, ["class", "class", "separation"], rows, names=2, caption=caption)


def legend() -> str:
    """Return the colour scale from 0 to 1."""
    cells = "".join(f"<i class=h{step}></i>" for step in range(palette.N_LEVELS))
    return f'<p class="scale" aria-hidden="true">0 mixed <span>{cells}</span> 1 apart</p>'
