"""A report as Markdown that fits a pull request comment or a job summary."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from contract.schemas import Diagnostic, Report, Separation
from interlayer.render import text, wording
from interlayer.render.networks import Contrasts, Network, contrasts, gaps, networks, result_by
from interlayer.render.trust import about_means, about_splits, columns, has_samplings

MOST_BYTES = 60_000
_ROOM_FOR_LAST_LINE = 200
_LONGEST_NAME = 60
_LONGEST_SENTENCE = 600
_MARK = {"error": "🔴", "warning": "🟡", "info": "🔵"}
# What starts markup, a link, a mention or a formula on GitHub, inside a sentence.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!@$]|(?<=www)\.|:(?=//))")


def to_markdown(report: Report) -> str:
    """Return findings, then of each network layers, tests and what its means depend on, as far as 60 kB reach."""
    found = networks(report)
    parts: list[str] = [
        f"## Class separation by layer\n\n{plain(wording.summary(report))}\n",
        *_findings(report),
        *(_layers(network) for network in found),
        *(_contrasts(network) for network in found),
        *(_trust(network) for network in found),
        _provenance(report),
    ]
    written, used, left_out = [], 0, 0
    for part in parts:
        size = len(part.encode()) + 1
        if not part:
            continue
        if used + size > MOST_BYTES - _ROOM_FOR_LAST_LINE:
            left_out += 1
            continue
        written.append(part)
        used += size
    if left_out:
        written.append(f"{text.count(left_out, 'part')} left out for length; the JSON report has everything.\n")
    return "\n".join(written)


def _findings(report: Report) -> list[str]:
    lines = [
        f"- {_MARK[finding.severity]} **{wording.SEVERITY[finding.severity]}:** {plain(finding.message)}\n"
        for finding in report.findings
    ]
    lines += [f"- ⚠️ **Warning:** {plain(warning.message)}\n" for warning in report.warnings]
    # One part for each sentence, so that a flood of them leaves room for what fits; "\n" joins them to one list.
    return [line.removesuffix("\n") for line in lines] + ["\n"] if lines else []


def _layers(network: Network) -> str:
    heads = ["layer", "d"]
    heads += [f"{wording.STATE[series.state].lower()}, {wording.SPLIT[series.split]}" for series in network.series]
    by_gap = {(gap.state, gap.layer): gap for gap in gaps(network)}
    states = [state for state in network.states if any(key[0] == state for key in by_gap)]
    heads += [f"gap, {state}" for state in states]
    rows = []
    for layer in dict.fromkeys(layer for series in network.series for layer in series.layers):
        shown = [series.layers.get(layer) for series in network.series]
        cells = [_name(layer), next(f"{part.dimension:,}" for part in shown if part)]
        cells += map(_mean, shown)
        for state in states:
            gap = by_gap.get((state, layer))
            adjusted = gap.result.p_adjusted if gap and gap.result else None
            cells.append(_with_stars(gap.difference, adjusted) if gap else text.MISSING)
        rows.append(cells)
    first = next(iter(network.series[0].layers.values()))
    n = f"Mean separation, 0 mixed to 1 apart, with its {wording.interval_of(first)}; {wording.sample_size(first)}."
    answers = "".join(
        f"- **{plain(answer.question)}** {plain(answer.said)}\n"
        for answer in (*about_splits(network), *about_means(network))
    )
    return "\n".join(
        filter(None, (f"### {plain(wording.network_name(network))}\n\n{n}\n", _table(heads, rows), answers))
    )


def _mean(part: Separation | None) -> str:
    if part is None:
        return text.MISSING
    bounds = part.interval
    shown = "" if bounds.low is None else f" {text.interval(bounds.low, bounds.high)}"
    return f"{text.number(part.mean)}{shown}"


def _contrasts(network: Network) -> str:
    titles: tuple[tuple[str, str], ...] = (
        ("layer_step", "steps"), ("component_step", "blocks"), ("adaptation", "adaptation"),
        ("generalization", "consistency"), ("generalization_gap", "gap"),
    )  # fmt: skip
    tables, methods = [], dict[str, None]()
    for family, section in titles:
        for table in contrasts(network, family):
            by = wording.method(table.method).heading if table.method else None
            words = [table.component, table.state, wording.SPLIT[table.split] if table.split else None, by]
            where = ", ".join(plain(word) for word in words if word)
            shifts = [shift for shift in network.shifts if section == "gap" and shift.state == table.state]
            tables.append(f"**{wording.SECTIONS[section].title}** ({where})\n\n{_contrast_table(table, shifts)}")
            methods |= dict.fromkeys((*([table.method] if table.method else ()), *table.others))
    if not tables:
        return ""
    assumed = [wording.method(method) for method in methods] + ([wording.SHIFT] if network.shifts else [])
    tables.append("".join(f"- p by {plain(method.heading)} holds {plain(method.assumes)}\n" for method in assumed))
    stars = "\\* adjusted p < 0.05, \\*\\* < 0.01, \\*\\*\\* < 0.001"
    return _folded(f"Tests of {wording.network_name(network)}", f"{stars}\n\n" + "\n".join(tables))


def _trust(network: Network) -> str:
    """Return the numbers behind the answers, where there are more than a single test."""
    if not any(map(has_samplings, network.series)):
        return ""
    numbers = columns(network.series)
    rows = [
        [
            _name(part.layer),
            wording.STATE[series.state].lower(),
            wording.SPLIT[series.split],
            *(_escaped(column.cell(part)) for column in numbers),
        ]
        for series in network.series
        for part in series.layers.values()
    ]
    table = _table(["layer", "network", "data", *(column.heading for column in numbers)], rows)
    return _folded(f"Chance, sample size and draws of {wording.network_name(network)}", table)


def _folded(title: str, body: str) -> str:
    # Inside the summary it is HTML; after the empty line GitHub reads Markdown again.
    said = escape(title).replace("@", "@\u2060")
    return f"<details><summary>{said}</summary>\n\n{body}\n</details>\n"


def _contrast_table(table: Contrasts, shifts: Sequence[Diagnostic]) -> str:
    shift_at = {shift.layer: shift for shift in shifts}
    lines = []
    for row in table.rows:
        result = table.result(row)
        bounds = result.interval if result else None
        step = _name(row.output_layer)
        cells = [
            step if row.input_layer is None else f"{_name(row.input_layer)} → {step}",
            _with_stars(row.difference, result.p_adjusted if result else None),
            text.interval(bounds.low, bounds.high) if bounds else text.MISSING,
            _escaped(text.p_value(result.p_value if result else None)),
            _escaped(text.p_value(result.p_adjusted if result else None)),
        ]
        others = [result_by(row, method) for method in table.others]
        cells += [_escaped(text.p_values(one.p_value, one.p_adjusted)) if one else text.MISSING for one in others]
        if shifts:
            shift = shift_at.get(row.output_layer)
            cells += [text.signed(shift.statistic if shift else None, 2)]
            cells += [_escaped(text.p_value(shift.p_value if shift else None))]
        lines.append(cells)
    heads = ["layer" if table.rows[0].input_layer is None else "step", "Δ", "interval", "p", "adjusted p"]
    heads += [f"p (adjusted), {plain(wording.method(method).heading)}" for method in table.others]
    return _table([*heads, *(("shift z", "shift p") if shifts else ())], lines)


def _provenance(report: Report) -> str:
    source = report.provenance
    versions = [f"{package} {version}" for package, version in source.versions.items()]
    facts = [
        f"{source.metric} distance",
        f"ties: {source.ties}",
        f"seed {source.seed}",
        *dict.fromkeys(
            f"model {each.model} on {each.data}, tokens: {wording.POOLING[each.pooling]}"
            for item in source.inputs
            if (each := item.source) is not None
        ),
        *versions,
    ]
    return f"{plain(' · '.join(facts))}\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _with_stars(difference: float, adjusted: float | None) -> str:
    stars = text.significance(adjusted).replace("*", "\\*")
    return f"{text.signed(difference)} {stars}".rstrip()


def _escaped(number: str) -> str:
    return number.replace("<", "&lt;")


def _name(name: str) -> str:
    """Return a name as code, in which nothing is a link, a mention or markup."""
    name = text.shortened(name, _LONGEST_NAME).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", name)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{name}{space}{fence}"


def plain(sentence: str) -> str:
    """Return a sentence in which nothing is markup; a word joiner keeps "@name" from calling somebody."""
    sentence = text.shortened(sentence, _LONGEST_SENTENCE)
    return _MARKUP.sub(r"\\\1", sentence).replace("@", "@\u2060")
