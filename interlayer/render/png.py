"""A chart as PNG. It needs the extra `static`: a converter that is one small wheel, and a font on the machine."""

import re
from functools import cache

from interlayer.render import drawing

_SCALE = 2  # pixels for each unit: sharp in print and on fine screens
_FONT = "DejaVu Sans"
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_DARK = re.compile(r"@media[^{]*\{\s*:root\s*\{[^}]*\}\s*\}")
_MARK = re.compile(r"var\(--mark(?:, *(var\([^)]*\)))?\)")


class PngUnavailable(RuntimeError):
    """The converter is not installed."""


def to_png(svg: str) -> bytes:
    """Return a standalone SVG as PNG, in its light colours.

    Raises
    ------
    PngUnavailable
        Where the extra `static` is not installed.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        message = 'PNG needs the extra `static`: pip install "interlayer[static]"; SVG needs none'
        raise PngUnavailable(message) from error
    plain = svg.replace(drawing.asset("charts.css"), plain_style())
    return bytes(svg_to_bytes(svg_string=plain, zoom=_SCALE, font_family=_FONT, sans_serif_family=_FONT))


@cache
def plain_style() -> str:
    """Return the style sheet of the charts without variables, which the converter does not know."""
    rules = [
        (selector.strip(), body.strip()) for selector, body in _RULE.findall(_DARK.sub("", drawing.asset("charts.css")))
    ]
    values = dict(re.findall(r"(--[\w-]+): *([^;]+);", next(body for selector, body in rules if selector == ":root")))
    marks = {
        selector.removeprefix("svg "): found[1]
        for selector, body in rules
        if (found := re.fullmatch(r"--mark: *(.+?);?", body))
    }
    written = []
    for selector, body in rules:
        if selector == ":root" or body.startswith("--mark"):
            continue
        for variant, replaced in _variants(selector, body, marks):
            known = re.sub(r"var\((--[\w-]+)\)", lambda name: values[name[1]], replaced)
            written.append(f"{variant} {{ {known} }}")
    return "\n".join(written)


def _variants(selector: str, body: str, marks: dict[str, str]) -> list[tuple[str, str]]:
    """Return a rule once for each class that says which colour a mark has."""
    found = _MARK.search(body)
    if not found:
        return [(selector, body)]
    rest = selector.removeprefix("svg ")
    plain = [(selector, _MARK.sub(found[1], body))] if found[1] else []
    # A class of the very group that carries the colour joins it; all else is below that group.
    inside = rest.startswith(".gap ")
    return plain + [
        (f"svg {class_}{rest}" if inside else f"svg {class_} {rest}", _MARK.sub(colour, body))
        for class_, colour in marks.items()
    ]
