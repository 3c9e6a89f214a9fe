"""Tables in the paper's layout, as CSV, Markdown and LaTeX: differences of all instances, then their p-values."""

import csv
import io
from collections.abc import Sequence

from interlayer.render.text import number, p_value
from interlayer.reproduce.tables import Row, Table, Tables

SIGNIFICANT = 0.05
_MINUS = "−"
_PREAMBLE = r"""\documentclass{article}
\usepackage[a4paper,margin=15mm]{geometry}
\begin{document}
\scriptsize
\noindent
"""


def to_csv(table: Table, instances: Sequence[str]) -> str:
    """Return one table, every number as exact as in the report."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")  # RFC 4180
    writer.writerow(_columns(instances))
    for row in table.rows:
        writer.writerow([row.input_layer or "", row.output_layer, *row.differences, *map(_exact, row.p_values)])
    return target.getvalue()


def to_markdown(tables: Tables, title: str) -> str:
    """Return all tables; p-values below 0.05 are bold."""
    parts = [f"# {title}\n"]
    for table in tables.tables.values():
        columns = _columns(tables.instances)
        lines = [columns, ["---", "---", *["---:"] * (len(columns) - 2)]]
        for row in table.rows:
            p_values = [f"**{p_value(p)}**" if _is_significant(p) else p_value(p) for p in row.p_values]
            lines.append([row.input_layer or "", row.output_layer, *map(number, row.differences), *p_values])
        parts.append(f"## {_caption(table)}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def to_latex(tables: Tables, title: str) -> str:
    """Return a document with all tables, which needs nothing but LaTeX itself."""
    parts = [_PREAMBLE, rf"\section*{{{_escaped(title)}}}" + "\n"]
    n = len(tables.instances)
    for table in tables.tables.values():
        parts.append(
            rf"\subsection*{{{_escaped(_caption(table))}}}" + "\n"
            rf"\begin{{tabular}}{{ll{'r' * n}@{{\qquad}}{'r' * n}}}" + "\n\\hline\n"
            rf"input space & output space & \multicolumn{{{n}}}{{c}}{{difference}} & "
            rf"\multicolumn{{{n}}}{{c}}{{$p$-value}} \\" + "\n\\hline\n"
        )
        parts += [_latex_row(row) for row in table.rows]
        parts.append("\\hline\n\\end{tabular}\n\n")
    return "".join(parts) + "\\end{document}\n"


def _latex_row(row: Row) -> str:
    differences = [f"${number(value).replace(_MINUS, '-')}$" for value in row.differences]
    p_values = [
        rf"\textbf{{{_escaped(p_value(p))}}}" if _is_significant(p) else _escaped(p_value(p)) for p in row.p_values
    ]
    names = [_escaped(row.input_layer or ""), _escaped(row.output_layer)]
    return " & ".join([*names, *differences, *p_values]) + " \\\\\n"


def _columns(instances: Sequence[str]) -> list[str]:
    return [
        "input space", "output space", *(f"difference {name}" for name in instances),
        *(f"p {name}" for name in instances),
    ]  # fmt: skip


def _caption(table: Table) -> str:
    return f"{table.name}. {table.layout.title} ({table.metric}, {table.layout.alternative})"


def _is_significant(p: float | None) -> bool:
    return p is not None and p < SIGNIFICANT


def _exact(p: float | None) -> float | str:
    return "" if p is None else p


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "–": "--",
}  # fmt: skip


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
