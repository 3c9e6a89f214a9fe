"""Rejection rates as a picture: one line per scenario, one mark per method, two standard errors to each side."""

from collections.abc import Sequence
from html import escape

from calibration.simulate import Outcome

_COLOURS = {
    "subsample": "#0072b2",
    "class_jackknife": "#009e73",
    "permutation": "#d55e00",
    "sign_flip": "#cc79a7",
    "membership_score": "#56b4e9",
    "same_class_friedman_rafsky": "#999999",
}
_SHAPES = {"subsample": "circle", "class_jackknife": "square", "permutation": "triangle", "sign_flip": "diamond"}
_LEFT, _RIGHT, _ROW, _TOP = 370, 940, 26, 84


def rejection_chart(outcomes: Sequence[Outcome], *, title: str) -> str:
    """SVG of the rejection rates at .05 of null scenarios; the horizontal axis is cut at .5."""
    labels = list(dict.fromkeys(scenario_label(outcome) for outcome in outcomes))
    height = _TOP + _ROW * len(labels) + 40
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_RIGHT + 40} {height}" role="img" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="16" font-weight="600" fill="#222222">{escape(title)}</text>',
        *_legend(outcomes),
        *(
            f'<rect x="0" y="{_TOP + _ROW * row}" width="{_RIGHT}" height="{_ROW}" fill="#f6f6f6"/>'
            for row in range(0, len(labels), 2)
        ),
        *_axis(height),
    ]
    for row, label in enumerate(labels):
        y = _TOP + _ROW * row + _ROW / 2
        parts.append(f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end" fill="#222222">{escape(label)}</text>')
        here = [outcome for outcome in outcomes if scenario_label(outcome) == label]
        for position, outcome in enumerate(here):
            parts += _mark(outcome, y + (position - (len(here) - 1) / 2) * 5)
    return "\n".join([*parts, "</svg>"]) + "\n"


def scenario_label(outcome: Outcome) -> str:
    """Name of a scenario with its size."""
    return f"{outcome.scenario} (K={outcome.n_classes}, n={outcome.n}, d={outcome.dimension})"


def _x(rate: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * min(max(rate, 0.0), 0.5) / 0.5


def _axis(height: int) -> list[str]:
    bottom = height - 34
    parts = []
    for tenth in range(6):
        x = _x(tenth / 10)
        parts.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="#e3e3e3"/>')
        text = "≥ 0.5" if tenth == 5 else f"{tenth / 10:.1f}"
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle" fill="#555555">{text}</text>')
    x = _x(0.05)
    parts.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="#222222" stroke-dasharray="4 3"/>')
    parts.append(f'<text x="{x}" y="{_TOP - 6}" text-anchor="middle" fill="#222222">.05</text>')
    return parts


def _legend(outcomes: Sequence[Outcome]) -> list[str]:
    parts, x = [], 16.0
    for method in dict.fromkeys(outcome.method for outcome in outcomes):
        parts += [_shape(method, x, 48.0), f'<text x="{x + 12}" y="52" fill="#222222">{escape(method)}</text>']
        x += 34 + 7.2 * len(method)
    return parts


def _mark(outcome: Outcome, y: float) -> list[str]:
    error = 2 * outcome.standard_error
    low, high = _x(outcome.rejected_05 - error), _x(outcome.rejected_05 + error)
    line = f'<line x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}" stroke="{_COLOURS[outcome.method]}"/>'
    return [line, _shape(outcome.method, _x(outcome.rejected_05), y)]


def _shape(method: str, x: float, y: float) -> str:
    colour = f'fill="{_COLOURS[method]}"'
    match _SHAPES.get(method, "circle"):
        case "square":
            return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" {colour}/>'
        case "triangle":
            return f'<path d="M{x:.1f} {y - 5:.1f} l5 9 h-10 z" {colour}/>'
        case "diamond":
            return f'<path d="M{x:.1f} {y - 5.5:.1f} l5 5.5 l-5 5.5 l-5 -5.5 z" {colour}/>'
        case _:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {colour}/>'
