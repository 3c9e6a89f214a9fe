"""Class pairs at one layer as a picture: training above, validation below the diagonal."""

from collections.abc import Sequence
from html import escape

from contract.schemas import Separation, State
from interlayer.render import drawing, palette, text, wording
from interlayer.render.drawing import Chart
from interlayer.render.heat_map import matrix, short

_WIDEST = 560  # of all cells
_LARGEST, _SMALLEST = 30, 4
_LEAST_WITH_NUMBERS = 26
_LONGEST_NAME = 14
_LEAST_BETWEEN_NAMES = 11


def pairs_chart(
    state: State, layer: str, classes: Sequence[str], train: Separation | None, validation: Separation | None
) -> Chart:
    """Draw the heat map of one state at one layer."""
    size = max(_SMALLEST, min(_LARGEST, _WIDEST // len(classes)))
    names = [text.shortened(name, _LONGEST_NAME) for name in classes]
    room = round(6.2 * max(map(len, names))) + 10
    colours = [f"#{bytes(colour).hex()}" for colour in palette.colours()]
    every = -(-_LEAST_BETWEEN_NAMES // size)
    axis, plot = [], []
    for row, cells in enumerate(matrix(classes, train, validation)):
        y = room + row * size
        if row % every == 0:
            axis.append(drawing.label(names[row], room - 6, y + size / 2 + 4, "name end"))
            turned = f"rotate(-90 {drawing.coordinate(row * size + size / 2 + 4)} {room - 6})"
            plot.append(drawing.label(names[row], row * size + size / 2 + 4, room - 6, "name", transform=turned))
        for column, value in enumerate(cells):
            if value is not None:
                plot.append(_cell(value, column * size, y, size, colours))
    last = len(classes) * size
    plot.append(drawing.polyline([(0, room), (last, room + last)], "diagonal"))
    means = [
        f"{wording.SPLIT[part.split]} {text.number(part.mean)}" for part in (train, validation) if part is not None
    ]
    return Chart(
        name=f"{wording.STATE[state]} network, class pairs at {text.visible(layer)}",
        description=f"Means: {', '.join(means)}.",
        axis="".join(axis),
        plot="".join(plot),
        axis_width=room,
        plot_width=last + 8,
        height=room + last + 8,
    )


def _cell(value: float, x: float, y: float, size: float, colours: Sequence[str]) -> str:
    level = palette.level(value)
    cell = drawing.element("rect", x=x, y=y, width=size - 0.5, height=size - 0.5, fill=colours[level])
    if size < _LEAST_WITH_NUMBERS:
        return cell
    ink = "ondark" if palette.is_dark(level) else "onbright"
    return cell + drawing.element(
        "text", escape(short(value)), x=x + size / 2, y=y + size / 2 + 4, class_=f"name middle {ink}"
    )
