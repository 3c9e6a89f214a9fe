"""A console, what fits on it and which characters it can show."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlayer.render import text

_BLOCKS = "▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS = "_.:-=+*#"
_ASCII = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "±": "+-",
        "→": "->",
        "Δ": "change",
        "·": "|",
        "…": "...",
        "✖": "x",
        "▲": "!",
        "•": "*",
        "█": "#",
    }
)


class Screen:
    """A console together with the characters it can show."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = console.width
        self.ascii = console.options.ascii_only

    def text(self, content: str, style: str = "") -> Text:
        """Return text that is never read as markup and never moves the cursor."""
        content = text.visible(content)
        if self.ascii:
            content = content.translate(_ASCII).encode("ascii", "backslashreplace").decode()
        return Text(content, style=style, overflow="fold")

    def line(self, content: str, style: str = "") -> None:
        """Print one paragraph."""
        self.console.print(self.text(content, style))

    def bar(self, value: float, width: int) -> str:
        """Draw 0 to 1 as a bar; what is outside stops at the end."""
        eighths = round(min(1.0, max(0.0, value)) * width * 8)
        if self.ascii:
            return "#" * round(eighths / 8)
        return "█" * (eighths // 8) + (_BLOCKS[eighths % 8 - 1] if eighths % 8 else "")

    def sparkline(self, values: Iterable[float]) -> str:
        """Draw one character for each value of 0 to 1."""
        signs = _ASCII_SPARKS if self.ascii else _SPARKS
        return "".join(signs[min(7, max(0, int(value * 8)))] for value in values)


def columns_table() -> Table:
    """Return an empty table in the style of all tables."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
