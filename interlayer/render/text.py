"""Names and numbers as characters that are safe and the same in every rendering."""

import unicodedata
from collections.abc import Sequence

# Invisible or text-reordering characters: control, format, surrogate, line and paragraph separators.
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Letters of many languages are joined or kept apart with these two; they reorder nothing.
_JOINERS = frozenset("\u200c\u200d")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

MISSING = "–"
SIGNIFICANCE = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


def visible(text: str) -> str:
    """Return `text` with every control, format and line-breaking character written out, as in ``\\u202e``."""
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def xml_text(text: str) -> str:
    """Return text that XML can hold: two characters that exist in Unicode do not exist there."""
    return visible(text).translate({0xFFFE: "?", 0xFFFF: "?"})


def shortened(text: str, length: int) -> str:
    """Return the visible `text`, its middle left out where it is longer than `length`."""
    text = visible(text)
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:] if tail else ''}"


def told_apart(names: Sequence[str], length: int) -> list[str]:
    """Return every name in at most `length` characters; what all have in common goes first where that is too few."""
    shown = [visible(name) for name in names]
    if all(len(name) <= length for name in shown):
        return shown
    before = _common_beginning(shown)
    rest = [name[len(before) :] for name in shown]
    after = _common_beginning([name[::-1] for name in rest])
    left, right = ("…" if len(part) > 1 else part for part in (before, after))
    return [shortened(f"{left}{name[: len(name) - len(after)]}{right}", length) for name in rest]


def _common_beginning(names: Sequence[str]) -> str:
    """Return what all begin with, up to a mark between parts of a name: `block.1` and `block.12` share `block.`."""
    first, last = min(names), max(names)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    common = first[:same]
    return common[: max(common.rfind(mark) for mark in "./_-:/ ") + 1]


def number(value: float | None, places: int = 3) -> str:
    """Return a fixed-point number with a true minus sign, never a negative zero."""
    if value is None:
        return MISSING
    rounded = f"{value:.{places}f}"
    if float(rounded) == 0:
        return rounded.removeprefix("-")
    return rounded.replace("-", "−")


def signed(value: float | None, places: int = 3) -> str:
    """Return a number that always carries its sign, as differences do."""
    shown = number(value, places)
    return shown if value is None or shown.startswith("−") or float(shown) == 0 else f"+{shown}"


def interval(low: float | None, high: float | None, places: int = 3) -> str:
    """Return the two ends of an interval in brackets."""
    if low is None or high is None:
        return MISSING
    return f"[{number(low, places)}, {number(high, places)}]"


def p_value(value: float | None) -> str:
    """Return a p-value to three places; a small one is bounded, not rounded to zero."""
    if value is None:
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def p_values(value: float | None, adjusted: float | None) -> str:
    """Return a p-value with the adjusted one behind it in parentheses."""
    return p_value(value) if adjusted is None else f"{p_value(value)} ({p_value(adjusted)})"


def significance(value: float | None) -> str:
    """Return the stars of an adjusted p-value."""
    if value is None:
        return ""
    return next((mark for level, mark in SIGNIFICANCE if value < level), "")


def count(number_of: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: "1 layer", "15 layers"."""
    return f"{number_of:,} {noun if number_of == 1 else plural or noun + 's'}"
