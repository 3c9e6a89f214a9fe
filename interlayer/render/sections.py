"""The sections of the page: each is drawn for every network, and has its numbers as a table."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape

from pydantic import JsonValue

from contract.schemas import Diagnostic, Input, Report
from interlayer.render import text, wording
from interlayer.render.contrast_table import (
    assumptions,
    bar_scale,
    contrast_tables,
    missing,
    p_value_cells,
    p_value_heads,
)
from interlayer.render.data_table import data_table, folded, name
from interlayer.render.figure import figure, key, layers_figure, split_key
from interlayer.render.gap_chart import gap_chart
from interlayer.render.heat_map import in_tables, layer_heat_maps, legend
from interlayer.render.layer_places import NARROW, ROOMY
from interlayer.render.networks import Network, contrasts, gaps, networks
from interlayer.render.training_chart import courses, drawn_layers, step_table, training_chart, training_table
from interlayer.render.trust import about_splits
from interlayer.render.trust_table import answered, trust

_CONTRASTS = {
    "steps": "layer_step",
    "blocks": "component_step",
    "adaptation": "adaptation",
    "consistency": "generalization",
}


def sections(report: Report) -> dict[str, str]:
    """Return the body of every section that the report has something for, in the order of the page."""
    found = networks(report)
    bodies = {
        "layers": _layers(report, found),
        "gap": _gap(report, found),
        "training": _training(report),
        **{section: _contrasts(report, found, family) for section, family in _CONTRASTS.items()},
        "trust": _per_network(found, trust),
        "pairs": _pairs(report, found),
        "provenance": _provenance(report),
    }
    return {section: body for section, body in bodies.items() if body}


def _per_network(found: Sequence[Network], draw: Callable[[Network], str]) -> str:
    """Draw every network below the other; the script shows the chosen one alone."""
    blocks = []
    for index, network in enumerate(found):
        body = draw(network)
        title = f"<h3>{escape(wording.network_name(network))}</h3>" if len(found) > 1 else ""
        blocks.append(f'<div class="network" data-network="{index}">{title}{body}</div>' if body else "")
    return "".join(blocks)


def _layers(report: Report, found: Sequence[Network]) -> str:
    def draw(network: Network) -> str:
        return (
            _sample_size(network)
            + key(network, report.layers, "layers")
            + layers_figure(network, report.layers)
            + '<p class="control follow"></p>'
            + _layer_table(network)
        )

    return _per_network(found, draw)


def _sample_size(network: Network) -> str:
    parts = [part for series in network.series for part in series.layers.values()]
    said = f"{wording.sample_size(parts[0])}."
    if any(part.interval.low is not None for part in parts):
        said += f" The bar through a mark is its {wording.interval_of(parts[0])}."
    return f"<p class=muted>{escape(said)}</p>"


def _layer_table(network: Network) -> str:
    sample = next(iter(network.series[0].layers.values()))
    heads = [
        "layer", "network", "data", "d", "mean", f"{sample.interval.level:.0%} interval", "sd of pairs", "lowest pair",
        *(f"{text.visible(quantile)} quantile" for quantile in sample.quantiles), "highest pair", "repeated points",
    ]  # fmt: skip
    rows = [
        [
            name(layer), wording.STATE[series.state].lower(), wording.SPLIT[series.split], f"{part.dimension:,}",
            text.number(part.mean), text.interval(part.interval.low, part.interval.high), text.number(part.sd),
            text.number(part.min),
            *(text.number(part.quantiles.get(quantile)) for quantile in sample.quantiles), text.number(part.max),
            f"{part.n_duplicates:,}",
        ]
        for series in network.series
        for layer, part in series.layers.items()
    ]  # fmt: skip
    reasons = [part.interval.reason for series in network.series for part in series.layers.values()]
    table = data_table("Separation at every layer", heads, rows, names=3)
    return folded("These numbers as a table", table + missing(dict.fromkeys(filter(None, reasons))))


def _gap(report: Report, found: Sequence[Network]) -> str:
    def draw(network: Network) -> str:
        chart, narrow = (gap_chart(network, report.layers, room=room) for room in (ROOMY, NARROW))
        if chart is None:
            return ""
        drawn = _sample_size(network) + key(network, report.layers, "gap") + figure("gap", chart, narrow)
        asked = about_splits(network)
        return drawn + answered(asked) + _gap_table(network, shown=bool(asked))

    return _per_network(found, draw)


def _gap_table(network: Network, *, shown: bool) -> str:
    tested = contrasts(network, "generalization_gap")
    others = list(dict.fromkeys(method for table in tested for method in table.others))
    found = gaps(network)
    shifted = any(gap.shift for gap in found)
    rows = [
        [
            name(gap.layer),
            wording.STATE[gap.state].lower(),
            text.signed(gap.difference),
            text.interval(gap.interval.low, gap.interval.high) if gap.interval else text.MISSING,
            escape(text.p_values(gap.result.p_value, gap.result.p_adjusted) if gap.result else text.MISSING),
            text.significance(gap.result.p_adjusted if gap.result else None),
            *p_value_cells(gap.row, others),
            *(_shift_cells(gap.shift) if shifted else ()),
        ]
        for gap in found
    ]
    methods = dict.fromkeys(wording.method(table.method).heading for table in tested if table.method)
    heads = ["layer", "network", "training −\N{NO-BREAK SPACE}validation", "interval"]
    heads += [", ".join(["p\N{NO-BREAK SPACE}(adjusted)", *methods]), "", *p_value_heads(others)]
    heads += ["z, shift", "p, shift"] if shifted else []
    table = data_table("Training minus validation at every layer", heads, rows, names=2)
    reasons = dict.fromkeys(reason for part in tested for reason in part.reasons(others=True))
    told = assumptions((row for part in tested for row in part.rows), shift=shifted, shown=shown)
    return folded("These numbers as a table", table + missing(reasons)) + told


def _shift_cells(shift: Diagnostic | None) -> tuple[str, str]:
    if shift is None:
        return text.MISSING, text.MISSING
    return text.signed(shift.statistic, 2), escape(text.p_value(shift.p_value))


def _training(report: Report) -> str:
    blocks = []
    found = courses(report)
    for course in found:
        title = f"<h3>Instance {name(course.instance)}</h3>" if len(found) > 1 else ""
        pictures = "".join(
            f'<details class="layer" data-layer="{escape(text.visible(layer))}"'
            f"{' open' if layer == report.layers[-1] else ''}><summary>{name(layer)}</summary>"
            f"{figure('course', *(training_chart(course, layer, room=room) for room in (ROOMY, NARROW)))}"
            f"{folded('These numbers as a table', step_table(course, layer))}</details>"
            for layer in drawn_layers(course, report.layers)
        )
        tables = "".join(training_table(course, report.layers, split) for split in course.splits())
        blocks.append(f'{title}{split_key(course.splits())}<div class="stack">{pictures}</div>{legend()}{tables}')
    return "".join(blocks)


def _contrasts(report: Report, found: Sequence[Network], family: str) -> str:
    rows = [row for row in report.tests if row.family == family]
    if not rows:
        return ""
    scale = bar_scale(rows)
    tables = _per_network(found, lambda network: contrast_tables(contrasts(network, family), scale))
    return tables + assumptions(rows, shown=family == "layer_step")


def _pairs(report: Report, found: Sequence[Network]) -> str:
    printed = in_tables(report)
    last = report.layers[-1] if report.layers else None

    def draw(network: Network) -> str:
        heat_maps = partial(layer_heat_maps, network, classes=report.classes, printed=printed)
        layers = "".join(
            f'<details class="layer" data-layer="{escape(text.visible(layer))}"{" open" if layer == last else ""}>'
            f"<summary>{name(layer)}</summary>{heat_maps(layer)}</details>"
            for layer in report.layers
        )
        return f'<div class="stack">{layers}</div>'

    follow = '<p class="control follow"></p><div class="path"></div>' if printed else ""
    elsewhere = (
        ""
        if printed
        else "<p class=muted>Classes stand in the report's order; every value is in its CSV and JSON forms.</p>"
    )
    return legend() + follow + elsewhere + _per_network(found, draw) if found else ""


def _provenance(report: Report) -> str:
    source = report.provenance
    facts = {
        "Statistic": source.estimator,
        "Distance": source.metric,
        "Ties": source.ties,
        "Seed": str(source.seed),
        "Sampling": _settings(source.sampling),
        "Tests": _settings(source.tests),
        "Versions": ", ".join(f"{package} {version}" for package, version in source.versions.items()),
        "Schema": f"{report.schema_} {report.schema_version}",
    }
    listed = "".join(f"<dt>{fact}<dd>{escape(text.visible(content))}" for fact, content in facts.items())
    rows = [
        [
            name(item.instance), text.MISSING if item.step is None else f"{item.step:,}", item.state,
            wording.SPLIT[item.split], _origin(item),
        ]
        for item in source.inputs
    ]  # fmt: skip
    heads = ["instance", "step", "network", "data", "SHA-256"]
    files = data_table("Analysed files and models", heads, rows, names=5)
    return (
        f'<dl class="facts">{listed}</dl>{folded("Analysed files and models", files)}'
        f'<p class=muted>The method is that of <a href="{wording.PAPER}">Waagen et al., Characterizing Inter-Layer '
        f"Functional Mappings of Deep Learning Models</a>. {wording.CAUTION}</p>"
    )


def _origin(item: Input) -> str:
    """Say which bytes an input is: a file, or a model and its data, and what became of tokens."""
    if item.source is None:
        return _code(item.sha256)
    source = item.source
    weights = "without weights" if source.model_sha256 is None else _code(source.model_sha256)
    model, data = ("" if named.startswith("sha256:") else f"{name(named)} " for named in (source.model, source.data))
    tokens = "" if source.pooling == "none" else f", tokens: {wording.POOLING[source.pooling]}"
    return f"model {model}{weights} on {data or 'rows '}{_code(source.data_sha256)}{tokens}"


def _code(digest: str) -> str:
    return f"<code>{escape(text.visible(digest))}</code>"


def _settings(settings: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{key.replace('_', ' ')}: {_setting(value)}" for key, value in settings.items())


def _setting(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
