"""A reader of the written pages that shares nothing with their writer."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "img", "link", "input", "br"}
_CLOSED_BY_OTHERS = {"li", "td", "th", "tr", "thead", "tbody", "dt", "dd", "option"}


@dataclass
class Element:
    """A start tag with its attributes, and for tables the text of their cells."""

    tag: str
    attributes: dict[str, str | None]
    caption: str = ""
    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


class Page(HTMLParser):
    """Collects elements, tables, visible text, scripts and styles, and checks that tags are closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self._table: Element | None = None
        self._cell: list[str] | None = None
        self._in_head = False
        self.feed(content)
        self.close()
        self._end_cell()
        assert self._open == [], f"never closed: {self._open}"

    def tables(self, class_: str) -> list[Element]:
        """The tables with a class."""
        return [e for e in self.elements if e.tag == "table" and class_ in (e.attributes.get("class") or "").split()]

    def ids(self) -> list[str]:
        """Every id of the page."""
        return [value for e in self.elements if (value := e.attributes.get("id"))]

    @property
    def shown(self) -> str:
        """The text a reader sees."""
        return " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(attrs) == len(element.attributes), f"an attribute twice: {attrs}"
        self.elements.append(element)
        if tag == "table":
            self._table = element
        if tag in {"td", "th", "tr", "thead", "tbody", "caption"}:
            self._end_cell()
        if tag in {"thead", "tbody"}:
            self._in_head = tag == "thead"
        if self._table is not None:
            if tag == "tr" and not self._in_head:
                self._table.rows.append([])
            if tag in {"td", "th", "caption"}:
                self._cell = [tag]
        if tag not in _VOID | _CLOSED_BY_OTHERS:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _CLOSED_BY_OTHERS:
            return
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> out of order"
        if tag in {"caption", "table"}:
            self._end_cell()
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside == "style":
            self.styles.append(data)
        elif inside != "title":
            self.text.append(data)
            if self._cell is not None:
                self._cell.append(data)

    def _end_cell(self) -> None:
        if self._cell is None or self._table is None:
            return
        kind, content = self._cell[0], "".join(self._cell[1:])
        if kind == "caption":
            self._table.caption = content
        elif self._in_head:
            self._table.heads.append(content)
        else:
            self._table.rows[-1].append(content)
        self._cell = None


def value(shown: str) -> float:
    """The number that a cell shows."""
    return float(shown.replace("−", "-"))
