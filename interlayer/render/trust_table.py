"""What the means depend on, as tables: chance, the number of samples, and which of them were drawn."""

from collections.abc import Iterable
from html import escape

from contract.schemas import Separation
from interlayer.render import drawing, text, wording
from interlayer.render.contrast_table import missing
from interlayer.render.data_table import data_table, folded, name
from interlayer.render.drawing import Scale
from interlayer.render.networks import Network, Series
from interlayer.render.trust import Answer, about_means, columns, has_samplings, possible_limit, reasons

_WIDTH = 172
_HEIGHT = 18
_RADII = (1.6, 2.5, 3.6)  # of a quarter, a half and all of the samples
_RING = 4.2


def trust(network: Network) -> str:
    """Return the answers about the means and their numbers; those of an untrained network are folded away."""
    answers = answered(about_means(network))
    if not answers:
        return ""
    scale = _scale(network)
    drawn = any(has_samplings(series) for series in network.series)
    shown = "".join(_table(series, scale) for series in network.series if series.state == "trained")
    rest = "".join(_table(series, scale) for series in network.series if series.state != "trained")
    tables = shown + (folded("The same for the untrained network", rest) if shown and rest else rest)
    return answers + (_key(network) + tables if drawn else folded("These numbers as a table", tables))


def answered(answers: Iterable[Answer]) -> str:
    """Return questions and answers as a list."""
    items = "".join(f"<dt>{escape(answer.question)}<dd>{escape(answer.said)}" for answer in answers)
    return f'<dl class="facts">{items}</dl>' if items else ""


def _key(network: Network) -> str:
    parts = [part for series in network.series for part in series.layers.values()]
    said = ["overall: 1 − T/E T of one tree over all samples, 0 where it joins different classes as often as chance"]
    trend = next((part.trend for part in parts if part.trend), None)
    if trend:
        sizes = ", ".join(f"{size:,}" for size in trend.n_per_class)
        said.append(f"dots, growing: the mean at n/4, n/2 and n ({sizes}) samples per class")
        said.append("ring: the limit they point to, a reading of three noisy numbers; above 1 it is only noise")
    draws = next((part.draws for part in parts if part.draws), None)
    if draws:
        said.append(f"line: range of the mean over {text.count(draws.count, 'random draw')} of the samples")
    return f'<p class="key">{"".join(f"<span>{escape(item)}</span>" for item in said)}</p>'


def _scale(network: Network) -> Scale:
    ends = [0.0, 1.0]
    for part in (part for series in network.series for part in series.layers.values()):
        limit = possible_limit(part.trend)
        ends += [] if limit is None else [limit]
        ends += part.trend.means if part.trend else []
        ends += [part.draws.min, part.draws.max] if part.draws else []
    return Scale(min(ends), max(ends), _RING + 1, _WIDTH - _RING - 1)


def _table(series: Series, scale: Scale) -> str:
    numbers, drawn = columns([series]), has_samplings(series)
    rows = [
        [
            name(part.layer),
            *([_picture(part, scale)] if drawn else []),
            *(escape(column.cell(part)) for column in numbers),
        ]
        for part in series.layers.values()
    ]
    where = f"{wording.STATE[series.state]} network, {wording.SPLIT[series.split]} data"
    return data_table(
        f"What the means depend on: {where}",
        ["layer", *([""] if drawn else []), *(column.heading for column in numbers)],
        rows,
        caption=f'<strong class="{series.split}">{where}</strong>',
        class_=f"trust of-{series.split}",
    ) + missing(reasons([series]))


def _picture(part: Separation, scale: Scale) -> str:
    middle = _HEIGHT / 2
    marks = [drawing.vertical(scale(0), 0, _HEIGHT, "zero")]
    if part.draws:
        marks.append(drawing.horizontal(middle, scale(part.draws.min), scale(part.draws.max), "interval"))
    if part.trend:
        limit = possible_limit(part.trend)
        if limit is not None:
            marks.append(drawing.element("circle", cx=scale(limit), cy=middle, r=_RING, class_="limit"))
        for mean, radius in zip(part.trend.means, _RADII, strict=False):  # a report from elsewhere may hold fewer
            marks.append(drawing.element("circle", cx=scale(mean), cy=middle, r=radius, class_="size"))
    return drawing.element("svg", "".join(marks), class_="sizes", width=_WIDTH, height=_HEIGHT, aria_hidden="true")
