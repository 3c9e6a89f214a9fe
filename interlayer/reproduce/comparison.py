"""The paper's numbers, ours, and whether each claim holds."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from contract.schemas import Metric
from interlayer.render.text import number
from interlayer.reproduce.claims import CLAIMS, NEEDS_BOTH_METRICS, Claim, Evidence
from interlayer.reproduce.experiments import EXPERIMENTS, LAYERS, Experiment
from interlayer.reproduce.tables import Tables, paper_tables

Answer = Literal["holds", "does not hold", "not applicable"]
_STYLE: Mapping[Answer, str] = {"holds": "green", "does not hold": "bold red", "not applicable": "dim"}


@dataclass(frozen=True)
class Verdict:
    """One claim held against one experiment: values of each instance, the band they must lie in, and the answer."""

    experiment: str
    metric: Metric
    claim: str
    statement: str
    paper: tuple[float, ...]
    ours: tuple[float, ...]
    band: tuple[float | None, float | None]
    answer: Answer
    shown_paper: str
    shown_ours: str
    shown_band: str


def compare(experiment: Experiment, found: Mapping[Metric, Tables]) -> list[Verdict]:
    """Return a verdict on every claim, for each distance that was run."""
    paper = {metric: paper_tables(experiment.column, metric) for metric in ("euclidean", "cosine")}
    verdicts = []
    for metric, tables in found.items():
        other: Metric = "cosine" if metric == "euclidean" else "euclidean"
        ours = Evidence(tables, found.get(other))
        theirs = Evidence(paper[metric], paper[other])
        verdicts += [_verdict(experiment, metric, claim, theirs, ours) for claim in _ordered(experiment)]
    return verdicts


def _ordered(experiment: Experiment) -> list[Claim]:
    """Return one claim of each code: that about the experiment, or the first about others."""
    found: dict[str, Claim] = {}
    for claim in CLAIMS:
        if experiment.column in claim.columns or claim.code not in found:
            found[claim.code] = claim
    return list(found.values())


def _verdict(experiment: Experiment, metric: Metric, claim: Claim, theirs: Evidence, ours: Evidence) -> Verdict:
    is_about = experiment.column in claim.columns
    applies = is_about and not (claim.code in NEEDS_BOTH_METRICS and ours.other is None)
    paper_values = tuple(claim.measure(theirs)) if is_about else ()
    our_values = tuple(claim.measure(ours)) if applies else ()
    low, high = claim.band(ours)
    return Verdict(
        experiment=experiment.name,
        metric=metric,
        claim=claim.code,
        statement=claim.statement,
        paper=paper_values,
        ours=our_values,
        band=(_finite(low), _finite(high)),
        answer=("holds" if claim.holds(ours) else "does not hold") if applies else "not applicable",
        shown_paper=_shown(paper_values, claim),
        shown_ours=_shown(our_values, claim),
        shown_band=_shown_band(low, high, claim),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _one(value: float, claim: Claim) -> str:
    if claim.is_layer:
        return LAYERS[int(value)] if value < len(LAYERS) else "none"
    return str(value) if isinstance(value, int) else number(value)


def _shown(values: Sequence[float], claim: Claim) -> str:
    if not values:
        return "–"
    ends = list(dict.fromkeys((_one(min(values), claim), _one(max(values), claim))))
    return " … ".join(ends)


def _shown_band(low: float, high: float, claim: Claim) -> str:
    if low == high:
        return _one(low, claim)
    if math.isinf(high):
        return f"≥ {_one(low, claim)}"
    if math.isinf(low):
        return f"≤ {_one(high, claim)}"
    return f"{_one(low, claim)} … {_one(high, claim)}"


def to_json(verdicts: Sequence[Verdict]) -> str:
    """Return all verdicts with every value."""
    return json.dumps([asdict(verdict) for verdict in verdicts], indent=2, allow_nan=False) + "\n"


def to_markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as a table, claims that are not about the experiment last and by their codes alone."""
    parts = []
    for name, metric in dict.fromkeys((verdict.experiment, verdict.metric) for verdict in verdicts):
        chosen = [v for v in verdicts if (v.experiment, v.metric) == (name, metric)]
        parts.append(f"## {name}, {metric} distance\n\n{_against(EXPERIMENTS[name])}\n")
        lines = [["claim", "", "rule", "paper", "here", ""], ["---", "---", "---", "---", "---", "---"]]
        for v in chosen:
            if v.answer != "not applicable":
                answer = f"**{v.answer}**" if v.answer == "does not hold" else v.answer
                lines.append([v.claim, v.statement, v.shown_band, v.shown_paper, v.shown_ours, answer])
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
        other = [v.claim for v in chosen if v.answer == "not applicable"]
        parts.append(f"Not applicable: {', '.join(other) or 'none'}.\n")
    return "\n".join(parts)


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print the verdicts for people: the numbers in columns, each claim in words below them, at any width."""
    for name, metric in dict.fromkeys((verdict.experiment, verdict.metric) for verdict in verdicts):
        chosen = [v for v in verdicts if (v.experiment, v.metric) == (name, metric) and v.answer != "not applicable"]
        console.print(Text(f"\n{name}, {metric} distance", "bold"))
        console.print(_against(EXPERIMENTS[name]), markup=False, highlight=False)
        for v in chosen:
            console.print(Text.assemble((f"\n{v.claim:<4}", "bold"), (v.answer, _STYLE[v.answer])))
            for text in (v.statement, f"paper {v.shown_paper}   here {v.shown_ours}   rule {v.shown_band}"):
                console.print(Padding(Text(text), (0, 0, 0, 4)))
        held = sum(v.answer == "holds" for v in chosen)
        console.print(Text(f"\n{held} of {len(chosen)} claims hold.", "bold"))


def _against(experiment: Experiment) -> str:
    column = experiment.column.replace("_", " ")
    if experiment.is_the_papers:
        return f"Held against the paper's {column} labels."
    return f"Held against the paper's {column} labels, which it stands for in small: {experiment.description}."
