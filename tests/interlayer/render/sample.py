"""Reports of any size with numbers as a network that memorised, or one that learned, would give."""

import itertools
import math
import random
from collections.abc import Collection, Sequence

from contract.schemas import (
    SCHEMA_NAME,
    Finding,
    Input,
    Interval,
    Pairs,
    Provenance,
    Report,
    ReportWarning,
    Separation,
    Split,
    State,
    TestResult,
    TestRow,
)

PAPER_LAYERS = (
    "0.Input", "1.Conv", "1.ReLU", "2.Conv", "2.ReLU", "2.MaxPool", "3.Conv", "3.ReLU",
    "4.Conv", "4.ReLU", "4.MaxPool", "5.Dense", "5.ReLU", "6.Dense", "6.Softmax",
)  # fmt: skip
PAPER_BLOCKS = ("0.Input", "2.MaxPool", "4.MaxPool", "5.ReLU", "6.Softmax")
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")
HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egnp.tac\u202c",
    "two\nlines\r\tand | a `tick`",
    "[bold]markup[/bold] & 'quotes\"",
)  # fmt: skip
BOTH_STATES: tuple[State, ...] = ("trained", "untrained")
BOTH_SPLITS: tuple[Split, ...] = ("train", "validation")


def layer_names(count: int) -> tuple[str, ...]:
    """The paper's fifteen names, or as many numbered ones."""
    if count == len(PAPER_LAYERS):
        return PAPER_LAYERS
    return ("0.Input", *(f"{index}.{'Conv' if index % 2 else 'ReLU'}" for index in range(1, count)))


def sample_report(
    *,
    n_layers: int = 15,
    classes: int | Sequence[str] = 10,
    layers: Sequence[str] | None = None,
    n_per_class: int = 89,
    instances: Sequence[str] = ("0",),
    states: Sequence[State] = BOTH_STATES,
    splits: Sequence[Split] = BOTH_SPLITS,
    steps: Sequence[int | None] = (None,),
    memorised: bool = True,
    seed: int = 7,
) -> Report:
    """Build a valid report: `memorised` networks separate training data alone, others both splits."""
    draw = random.Random(seed)
    class_names = [str(index) for index in range(classes)] if isinstance(classes, int) else list(classes)
    names = tuple(layers) if layers is not None else layer_names(n_layers)
    separations = [
        _separation(draw, instance, state, split, step, names, index, class_names, n_per_class, memorised)
        for instance in instances
        for step in steps
        for state in states
        for split in splits
        for index in range(len(names))
    ]
    return Report(
        schema=SCHEMA_NAME,
        provenance=_provenance(instances, states, splits, steps, names, n_per_class),
        classes=class_names,
        layers=list(names),
        separations=separations,
        tests=_tests(draw, separations, names),
        findings=_findings(names, memorised),
        warnings=[
            ReportWarning(code="ties", message=f"Layer {names[-1]} has 12 repeated points; counts are tree averages."),
        ],
    )


def _level(state: State, split: Split, position: float, memorised: bool) -> float:
    if state == "untrained":
        start = 0.03 if memorised else 0.82
        return start - (0.2 if position > 0.85 and not memorised else 0.0)
    if memorised and split == "validation":
        return 0.01
    start, end = (0.04, 0.985) if memorised else (0.84, 0.97 if split == "train" else 0.93)
    return start + (end - start) / (1 + math.exp(-14 * (position - 0.78)))


def _separation(
    draw: random.Random,
    instance: str,
    state: State,
    split: Split,
    step: int | None,
    names: Sequence[str],
    index: int,
    classes: list[str],
    n: int,
    memorised: bool,
) -> Separation:
    level = _level(state, split, index / max(1, len(names) - 1), memorised)
    spread = 0.25 * max(0.25, 4 * level * (1 - level))
    pairs = list(itertools.combinations(range(len(classes)), 2))
    edges = [max(1, min(2 * n - 1, round(n * (1 - level - spread * draw.gauss(0, 0.5))))) for _ in pairs]
    values = [1 - count / n for count in edges]
    mean = sum(values) / len(values)
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) if len(values) > 1 else None
    half = 0.01 + 0.1 * spread
    ordered = sorted(values)
    scale = math.sqrt(n / 2)
    return Separation(
        instance=instance, state=state, split=split, step=step, layer=names[index],
        dimension=max(10, 64 * 2 ** (6 - index // 2)), n_classes=len(classes), n_per_class=[n] * len(classes),
        mean=mean,
        interval=Interval(low=mean - half, high=mean + half, level=0.95, method="subsample", estimand="these_classes"),
        sd=sd, min=ordered[0], max=ordered[-1],
        quantiles={key: ordered[round(float(key) * (len(ordered) - 1))] for key in QUANTILES},
        n_duplicates=0, n_zero_rows=0, fold_means=None,
        pairs=Pairs(
            class_a=[classes[a] for a, _ in pairs], class_b=[classes[b] for _, b in pairs],
            n_a=[n] * len(pairs), n_b=[n] * len(pairs),
            cross_edges=[float(count) for count in edges], cross_edges_min=edges, cross_edges_max=edges,
            statistic=values, z=[-value * scale for value in values],
            p_value=[0.5 * math.erfc(value * scale / math.sqrt(2)) for value in values],
        ),
    )  # fmt: skip


def _row(draw: random.Random, family: str, difference: float, half: float, **where: object) -> TestRow:
    p = math.erfc(abs(difference) / half * 1.6) if half else 1.0
    fields = {"step": None, "state": None, "split": None, "component": None, "input_layer": None, **where}
    bounds = Interval(
        low=difference - half, high=difference + half, level=0.95, method="subsample", estimand="these_classes"
    )
    subsample = TestResult(
        method="subsample", estimand="these_classes", p_value=p, p_adjusted=min(1.0, 14 * p), adjustment="holm",
        exact=False, n_resamples=None, interval=bounds,
    )  # fmt: skip
    permutation_p = min(1.0, p * draw.uniform(0.5, 1.5))
    permutation = TestResult(
        method="permutation", estimand="exchangeable_pairs", p_value=permutation_p,
        p_adjusted=min(1.0, 14 * permutation_p), adjustment="holm", exact=True, n_resamples=None,
    )  # fmt: skip
    return TestRow.model_validate(
        {"family": family, "difference": difference, "results": [subsample, permutation], **fields}
    )


def _tests(draw: random.Random, separations: list[Separation], names: Sequence[str]) -> list[TestRow]:
    means = {(s.instance, s.step, s.state, s.split, s.layer): s.mean for s in separations}
    rows = []
    for instance, step, state, split in dict.fromkeys((s.instance, s.step, s.state, s.split) for s in separations):
        where = {"instance": instance, "step": step}
        sided = {"alternative": "greater" if state == "trained" else "two-sided", "state": state, "split": split}
        blocks = [name for name in PAPER_BLOCKS if name in names]
        for family, component, layers in (("layer_step", None, names), ("component_step", "blocks", blocks)):
            for before, after in itertools.pairwise(layers):
                step_of = means[instance, step, state, split, after] - means[instance, step, state, split, before]
                rows.append(
                    _row(draw, family, step_of, 0.02, component=component, input_layer=before, output_layer=after,
                         **where, **sided)
                )  # fmt: skip
        if state == "trained" and (instance, step, "untrained", split, names[0]) in means:
            rows += [
                _row(
                    draw, "adaptation", means[instance, step, "trained", split, layer]
                    - means[instance, step, "untrained", split, layer], 0.03, output_layer=layer, **where, **sided,
                )
                for layer in names[1:]
            ]  # fmt: skip
        if split == "validation" and (instance, step, state, "train", names[0]) in means:
            gaps = {layer: means[instance, step, state, "train", layer] - means[instance, step, state, split, layer]
                    for layer in names}  # fmt: skip
            rows += [
                _row(
                    draw,
                    "generalization_gap",
                    gap,
                    0.03,
                    output_layer=layer,
                    alternative="greater",
                    state=state,
                    **where,
                )
                for layer, gap in gaps.items()
            ]
            rows += [
                _row(draw, "generalization", gaps[after] - gaps[before], 0.03, input_layer=before, output_layer=after,
                     alternative="two-sided", state=state, **where)
                for before, after in itertools.pairwise(names)
            ]  # fmt: skip
    return rows


def _findings(names: Sequence[str], memorised: bool) -> list[Finding]:
    last = names[-1]
    if memorised:
        first = Finding(
            code="memorization", severity="error", evidence={"layer": last, "train": 0.985, "validation": 0.012},
            message=f"The network memorised its training data: at {last} classes are apart on training data (0.985) "
            "and mixed on validation data (0.012).",
        )  # fmt: skip
    else:
        first = Finding(
            code="first_separation", severity="info", evidence={"layer": names[0]},
            message=f"The classes are separated from the first layer on ({names[0]}).",
        )  # fmt: skip
    worst = Finding(
        code="worst_class_pairs", severity="warning", evidence={"pairs": [["3", "8"]]},
        message=f"The least separated pair at {last} is 3 and 8.",
    )  # fmt: skip
    gain = Finding(
        code="idle_layers", severity="info", evidence={"layer": last},
        message=f"{names[min(1, len(names) - 1)]} changes class separation by less than 0.05.",
    )  # fmt: skip
    return [first, gain, worst]


def _provenance(
    instances: Sequence[str],
    states: Sequence[State],
    splits: Sequence[Split],
    steps: Sequence[int | None],
    names: Sequence[str],
    n: int,
) -> Provenance:
    roles = itertools.product(instances, steps, states, splits)
    return Provenance(
        inputs=[
            Input(sha256=f"{index:064x}", instance=instance, state=state, split=split, step=step)
            for index, (instance, step, state, split) in enumerate(roles)
        ],
        versions={"interlayer": "0.1.0", "numpy": "2.4.6"},
        estimator="1 - R(m+n)/(2mn)", metric="euclidean", ties="average", seed=0,
        sampling={"per_class": "equal", "rows_per_class": n}, tests={"n_resamples": 50_000, "method": "auto"},
    )  # fmt: skip


def without_numbers(report: Report) -> Report:
    """The same report where no interval and no p-value could be computed."""
    content = report.model_dump(by_alias=True)
    reason = "too few rows for folds"
    for part in content["separations"]:
        part["sd"] = None
        part["interval"] |= {"low": None, "high": None, "reason": reason}
        part["pairs"]["z"] = [None] * len(part["pairs"]["z"])
        part["pairs"]["p_value"] = [None] * len(part["pairs"]["p_value"])
    for row in content["tests"]:
        for result in row["results"]:
            result |= {"p_value": None, "p_adjusted": None, "interval": None, "reason": reason}
    return Report.model_validate(content)


def without_subsample(report: Report, *, layers: Collection[str]) -> Report:
    """The same report where the first test of every contrast that ends at one of `layers` gave no p-value."""
    content = report.model_dump(by_alias=True)
    for row in content["tests"]:
        if row["output_layer"] in layers:
            row["results"][0] |= {"p_value": None, "p_adjusted": None, "interval": None, "reason": "saturated"}
    return Report.model_validate(content)
