"""Class separation over training: one layer as a line through its steps, all layers as a table of colours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from contract.schemas import Report, Separation, Split
from interlayer.render import drawing, palette, text, wording
from interlayer.render.data_table import data_table, name
from interlayer.render.drawing import Chart, Scale
from interlayer.render.layer_places import AXIS_WIDTH, ROOMY
from interlayer.render.networks import SPLITS

_HEIGHT = 190
_TOP = 14
_FOOT = 44
_LONGEST_NAME = 24
_WIDEST = 656
_LABEL_ROOM = 46
_MOST_MARKS = 3_000  # of one report; beyond, only the last layer has a picture beside the table of colours


@dataclass(frozen=True)
class Course:
    """One instance in training: the separations of its trained network by split, step and layer."""

    instance: str
    steps: tuple[int, ...]
    parts: Mapping[tuple[Split, int, str], Separation]

    def splits(self) -> list[Split]:
        """Return the splits that were analysed."""
        return [split for split in SPLITS if any(key[0] == split for key in self.parts)]


def courses(report: Report) -> list[Course]:
    """Return the instances of which several training steps were analysed."""
    parts: dict[str, dict[tuple[Split, int, str], Separation]] = {}
    for part in report.separations:
        if part.step is not None and part.state == "trained":
            parts.setdefault(part.instance, {})[part.split, part.step, part.layer] = part
    found = [
        Course(instance, tuple(sorted({step for _, step, _ in known})), known) for instance, known in parts.items()
    ]
    return [course for course in found if len(course.steps) > 1]


def drawn_layers(course: Course, layers: Sequence[str]) -> Sequence[str]:
    """Return the layers that have a picture of their own."""
    return layers if len(layers) * len(course.steps) <= _MOST_MARKS else layers[-1:]


def training_chart(course: Course, layer: str, *, room: int = ROOMY) -> Chart:
    """Draw the mean of a layer and its interval at every step; steps stand in order, evenly apart."""
    slot = (min(room, _WIDEST) - 16) / len(course.steps)
    shown = {
        split: [(step, part) for step in course.steps if (part := course.parts.get((split, step, layer)))]
        for split in course.splits()
    }
    ends = [part.interval.low or part.mean for found in shown.values() for _, part in found]
    scale = Scale(min(-0.1, *ends), 1.02, _TOP + _HEIGHT, _TOP)
    width = round(slot * len(course.steps)) + 16
    place = {step: 8 + slot * (index + 0.5) for index, step in enumerate(course.steps)}
    axis, plot = [], []
    for value in drawing.ticks(scale.low, 1.0):
        axis.append(drawing.label(text.number(value, 1), AXIS_WIDTH - 8, scale(value) + 4, "tick end"))
        plot.append(drawing.horizontal(scale(value), 0, width, "zero" if abs(value) < 1e-9 else "grid"))
    for split, found in shown.items():
        shift = min(4.0, slot * 0.12) * (0 if len(shown) == 1 else -1 if split == "train" else 1)
        plot.append(_line(split, [(place[step] + shift, step, part) for step, part in found], scale, slot))
    every = math.ceil(_LABEL_ROOM / slot)
    for index, step in enumerate(course.steps):
        if index % every == 0:
            plot.append(drawing.label(f"{step:,}", place[step], _TOP + _HEIGHT + 18, "tick middle"))
    plot.append(drawing.label("step", width - 6, _TOP + _HEIGHT + 36, "name end"))
    return Chart(
        name=f"Mean separation at {text.visible(layer)} over training",
        description=" ".join(_told(split, found) for split, found in shown.items() if found),
        axis="".join(axis),
        plot="".join(plot),
        axis_width=AXIS_WIDTH,
        plot_width=width,
        height=_TOP + _HEIGHT + _FOOT,
    )


def _line(split: Split, points: Sequence[tuple[float, int, Separation]], scale: Scale, slot: float) -> str:
    marks = [drawing.polyline([(x, scale(part.mean)) for x, _, part in points], "means")]
    radius = max(1.2, min(3.4, slot * 0.3))
    for x, step, part in points:
        bounds = part.interval
        if bounds.low is not None and bounds.high is not None:
            marks.append(drawing.vertical(x, scale(bounds.low), scale(bounds.high), "interval"))
        told = (
            f"step {step:,}, {wording.SPLIT[split]}: {text.number(part.mean)} {text.interval(bounds.low, bounds.high)}"
        )
        title = drawing.element("title", escape(told))
        marks.append(drawing.element("circle", title, cx=x, cy=scale(part.mean), r=radius, class_="mean"))
    return drawing.element("g", "".join(marks), class_=split)


def _told(split: Split, found: Sequence[tuple[int, Separation]]) -> str:
    (first, start), (last, end) = found[0], found[-1]
    return (
        f"{wording.SPLIT[split].capitalize()} data: {text.number(start.mean)} at step {first:,}, "
        f"{text.number(end.mean)} at step {last:,}."
    )


def training_table(course: Course, layers: Sequence[str], split: Split) -> str:
    """Return the mean of every layer at every step as a table whose cells are coloured."""
    head = "".join(f"<th scope=col>{step:,}" for step in course.steps)
    rows = []
    for layer, shown in zip(layers, text.told_apart(layers, _LONGEST_NAME), strict=True):
        cells = "".join(_cell(course.parts.get((split, step, layer))) for step in course.steps)
        rows.append(f"<tr><th scope=row>{name(shown)}{cells}")
    label = f"Mean separation of every layer over training, {wording.SPLIT[split]} data"
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}"><table class="heat course">'
        f'<caption><strong class="{split}">{wording.SPLIT[split].capitalize()} data</strong>, mean by layer and step'
        f"</caption><thead><tr><td>{head}<tbody>{''.join(rows)}</table></div>"
    )


def _cell(part: Separation | None) -> str:
    if part is None:
        return "<td>"
    return f"<td class=h{palette.level(part.mean)}>{text.number(part.mean, 2)}"


def step_table(course: Course, layer: str) -> str:
    """Return the numbers of `training_chart`."""
    rows = [
        [
            f"{step:,}",
            wording.SPLIT[split],
            text.number(part.mean),
            text.interval(part.interval.low, part.interval.high),
        ]
        for step in course.steps
        for split in course.splits()
        if (part := course.parts.get((split, step, layer)))
    ]
    return data_table(f"{text.visible(layer)} over training", ["step", "data", "mean", "interval"], rows, names=2)
