"""Curves over the number of workers, both axes logarithmic, as SVG in the style of the other charts."""

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 420, 64, 250, 56, 48


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw each named line through its points (workers, speed-up); the diagonal is what would be perfect."""
    powers = math.ceil(math.log10(max(x for points in lines.values() for x, _ in points)))

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + math.log10(x) / powers * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - math.log10(max(y, 1.0)) / powers * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="16" font-weight="600" fill="#222222">{escape(title)}</text>',
    ]
    for power in range(powers + 1):
        (x, y), value = place(10**power, 10**power), f"{10**power:,}"
        left, right = place(1, 1)[0], place(10**powers, 1)[0]
        parts += [
            f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" stroke="#dddddd"/>',
            f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end" fill="#444444">{value}</text>',
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle" fill="#444444">{value}</text>',
        ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle" fill="#444444">workers</text>')
    (x1, y1), (x2, y2) = place(1, 1), place(10**powers, 10**powers)
    parts.append(
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#999999" stroke-dasharray="4 4"/>'
    )
    for row, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[row % len(_COLOURS)]
        spots = [place(x, y) for x, y in points]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
        y = _TOP + 20 * row
        parts += [
            f'<rect x="{_WIDTH - _RIGHT + 24}" y="{y - 9}" width="12" height="12" fill="{colour}"/>',
            f'<text x="{_WIDTH - _RIGHT + 44}" y="{y + 2}" fill="#222222">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
