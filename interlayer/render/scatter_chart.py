"""Training against validation at one layer: a dot for each class pair, and where the two would be equal."""

from html import escape

from contract.schemas import Separation, State
from interlayer.render import drawing, text, wording
from interlayer.render.drawing import Chart, Scale

MOST_DOTS = 200  # more pairs merge into a blot, and the picture into megabytes
_SIZE = 250
_AXIS_WIDTH = 40
_TOP = 14
_FOOT = 40


def scatter_chart(state: State, layer: str, train: Separation | None, validation: Separation | None) -> Chart | None:
    """Draw one state at one layer; nothing without both splits of the same pairs, or with more than `MOST_DOTS`."""
    if train is None or validation is None:
        return None
    one, other = train.pairs, validation.pairs
    if (one.class_a, one.class_b) != (other.class_a, other.class_b) or not 0 < len(one.statistic) <= MOST_DOTS:
        return None
    low = min(-0.1, train.min - 0.02, validation.min - 0.02)
    across, up = Scale(low, 1.02, 0, _SIZE), Scale(low, 1.02, _TOP + _SIZE, _TOP)
    bottom = _TOP + _SIZE
    axis, plot = [], []
    for value in (tick for tick in drawing.ticks(low, 1.0) if round(tick * 10) % 2 == 0):
        class_ = "zero" if abs(value) < 1e-9 else "grid"
        axis.append(drawing.label(text.number(value, 1), _AXIS_WIDTH - 6, up(value) + 4, "tick end"))
        plot.append(drawing.horizontal(up(value), 0, _SIZE, class_))
        plot.append(drawing.vertical(across(value), _TOP, bottom, class_))
        plot.append(drawing.label(text.number(value, 1), across(value), bottom + 16, "tick middle"))
    plot.append(drawing.polyline([(across(low), up(low)), (across(1.02), up(1.02))], "diagonal"))
    points = [(across(x), up(y)) for x, y in zip(one.statistic, other.statistic, strict=True)]
    marks = drawing.dots(points, "pair") + _mean(train, validation, across, up)
    plot.append(drawing.element("g", marks, class_="trained" if state == "trained" else "untrained"))
    plot.append(drawing.label("training", _SIZE, bottom + 34, "name end"))
    plot.append(drawing.label("validation", 4, _TOP - 4, "name"))
    below = sum(y < x for x, y in zip(one.statistic, other.statistic, strict=True))
    return Chart(
        name=f"{wording.STATE[state]} network, training against validation at {text.visible(layer)}",
        description=(
            f"{below} of {text.count(len(points), 'class pair')} are better separated on training data. "
            f"Means: training {text.number(train.mean)}, validation {text.number(validation.mean)}."
        ),
        axis="".join(axis),
        plot="".join(plot),
        axis_width=_AXIS_WIDTH,
        plot_width=_SIZE + 12,
        height=bottom + _FOOT,
    )


def _mean(train: Separation, validation: Separation, across: Scale, up: Scale) -> str:
    x, y = across(train.mean), up(validation.mean)
    parts = []
    if train.interval.low is not None and train.interval.high is not None:
        parts.append(drawing.horizontal(y, across(train.interval.low), across(train.interval.high), "interval"))
    if validation.interval.low is not None and validation.interval.high is not None:
        parts.append(drawing.vertical(x, up(validation.interval.low), up(validation.interval.high), "interval"))
    told = escape(f"means: training {text.number(train.mean)}, validation {text.number(validation.mean)}")
    return "".join(parts) + drawing.element("circle", drawing.element("title", told), cx=x, cy=y, r=4.2, class_="mean")
