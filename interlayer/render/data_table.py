"""A table of the page: scrolls inside its own region, so that a phone never scrolls the page sideways."""

from collections.abc import Iterable, Sequence
from html import escape

from interlayer.render import text

_UNBROKEN = 28


def data_table(
    label: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    names: int = 1,
    caption: str = "",
    class_: str = "",
    labels: Sequence[str] = (),
) -> str:
    """Return a table whose first `names` columns name the row; cells are markup, heads are text.

    `labels` stand in the cells of their columns on a phone, which shows a row as a card and no heads.
    """
    labelled = [f' data-label="{escape(label)}"' if label else "" for label in labels or [""] * len(heads)]
    columns = "".join(
        f"<th scope=col{'' if index < names else ' class=n'}>{escape(head)}" if head else "<td>"
        for index, head in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<th scope=row>{cell}" if index < names else f"<td{labelled[index]}>{cell}"
            for index, cell in enumerate(row)
        )
        for row in rows
    )
    kind = f' class="{escape(class_)}"' if class_ else ""
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(label)}"><table{kind}>'
        f"{f'<caption>{caption}</caption>' if caption else ''}<thead><tr>{columns}<tbody>{body}</table></div>"
    )


def folded(summary: str, body: str, *, shown: bool = False) -> str:
    """Return `body` behind a summary that opens it, or closes it where it is `shown` at first."""
    return f"<details{' open' if shown else ''}><summary>{escape(summary)}</summary>{body}</details>"


def name(content: str, *, whole: str | None = None) -> str:
    """Return a name as markup, apart from the direction of its surroundings and unbroken if it is short.

    Where `content` is a part of a longer name, that is told where a pointer rests.
    """
    content = text.visible(content)
    kind = " class=u" if len(content) <= _UNBROKEN else ""
    told = "" if whole is None or text.visible(whole) == content else f' title="{escape(text.visible(whole))}"'
    return f"<bdi{kind}{told}>{escape(content)}</bdi>"
