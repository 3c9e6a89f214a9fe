"""SVG elements as text; colours and type come from the classes of charts.css."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files


@dataclass(frozen=True)
class Scale:
    """A linear map from data to picture units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of `value`."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True)
class Chart:
    """A picture in two parts, axis and plot; `places` tells a script where the plot has what (JSON)."""

    name: str
    description: str
    axis: str
    plot: str
    axis_width: int
    plot_width: int
    height: int
    places: str = ""


def asset(name: str) -> str:
    """Return the text of a file that is shipped beside this module."""
    return files("interlayer.render").joinpath(name).read_text(encoding="utf-8")


def coordinate(value: float) -> str:
    """Return a position to a tenth of a unit, as short as it can be written."""
    return f"{value:.1f}".removesuffix(".0").replace("-0.", "-.") if round(value, 1) else "0"


def element(tag: str, content: str = "", **attributes: float | str) -> str:
    """Return one element; `content` is markup, attribute values are escaped, `class_` is written `class`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else coordinate(value)}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def label(content: str, x: float, y: float, class_: str, **attributes: float | str) -> str:
    """Return text at a place."""
    return element("text", escape(content), x=x, y=y, class_=class_, **attributes)


def horizontal(y: float, x1: float, x2: float, class_: str) -> str:
    """Return a horizontal line."""
    return element("path", d=f"M{coordinate(x1)} {coordinate(y)}H{coordinate(x2)}", class_=class_)


def vertical(x: float, y1: float, y2: float, class_: str) -> str:
    """Return a vertical line."""
    return element("path", d=f"M{coordinate(x)} {coordinate(y1)}V{coordinate(y2)}", class_=class_)


def polyline(points: Sequence[tuple[float, float]], class_: str) -> str:
    """Return the line through `points`."""
    steps = "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
    return element("path", d=f"M{steps}", class_=class_) if len(points) > 1 else ""


def dots(points: Sequence[tuple[float, float]], class_: str) -> str:
    """Return many dots as one path of lines without length, whose round caps show."""
    return element("path", d="".join(f"M{coordinate(x)} {coordinate(y)}h0" for x, y in points), class_=class_)


def ticks(low: float, high: float) -> list[float]:
    """Return some four to eight round numbers from `low` to `high`."""
    rough = (high - low) / 7.5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]
