"""What a run leaves in its folder: reports, tables, figures and the comparison with the paper."""

from collections.abc import Mapping
from pathlib import Path

from contract.schemas import Metric, Report
from interlayer.render.html import to_html
from interlayer.reproduce import comparison, figures, table_text
from interlayer.reproduce.comparison import Verdict
from interlayer.reproduce.experiments import STATES, Experiment
from interlayer.reproduce.tables import report_tables


def write(experiment: Experiment, reports: Mapping[Metric, Report], folder: Path) -> list[Verdict]:
    """Write everything that reports of one experiment show, and return how the paper's claims fare.

    ::

        comparison.md, comparison.json
        <metric>/report.json, report.html, tables.md, tables.tex
        <metric>/tables/S-1.csv …
        <metric>/figures/<instance>-<state>-pairs.svg, <instance>-<state>-distributions.svg
    """
    found = {metric: report_tables(report) for metric, report in reports.items()}
    for metric, report in reports.items():
        place = folder / metric
        _write(place / "report.json", report.to_bytes())
        _write(place / "report.html", to_html(report))
        title = f"{experiment.name}, {metric} distance"
        _write(place / "tables.md", table_text.to_markdown(found[metric], title))
        _write(place / "tables.tex", table_text.to_latex(found[metric], title))
        for table in found[metric].tables.values():
            _write(place / "tables" / f"{table.name}.csv", table_text.to_csv(table, found[metric].instances))
        for instance in found[metric].instances:
            for state in STATES:
                name = place / "figures" / f"{instance}-{state}"
                _write(Path(f"{name}-pairs.svg"), figures.pair_matrices(report, instance, state))
                _write(Path(f"{name}-distributions.svg"), figures.distributions(report, instance, state))
    verdicts = comparison.compare(experiment, found)
    _write(folder / "comparison.md", comparison.to_markdown(verdicts))
    _write(folder / "comparison.json", comparison.to_json(verdicts))
    return verdicts


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
