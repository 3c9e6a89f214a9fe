"""Findings about single layers and class pairs of trained networks."""

from collections.abc import Iterator

from pydantic import JsonValue

from contract.schemas import Finding, Report, Separation
from hpcore.multiplicity import holm
from hpcore.study import SATURATED_CROSS_EDGES
from worker.readings import LEVEL, held_out, losses, rows, separated_layers, trained
from worker.sentences import Case, data_of, finding, layers_of, listed, number, rounded, verb

IDLE_MARGIN = 0.05
"""A layer is idle where the whole interval of its step lies within this distance of zero."""
NOTABLE_LOSS = 0.05
"""Loss of a step from which it is a warning."""
CEILING = 0.9
"""Mean HP from which a layer with few cross edges left is saturated rather than small."""
PAIR_BEHIND = 0.1
"""How far below the mean of its layer a class pair must be to be named."""


def idle_layers(report: Report) -> Iterator[Finding]:
    """Steps of all trained networks that change nothing, or less than .05 with 95% confidence, on held-out data."""
    cases: list[Case] = []
    for network, splits in trained(report):
        split, _ = held_out(splits)
        for row in rows(report, "layer_step", network, split):
            subsample = next((result for result in row.results if result.method == "subsample"), None)
            if subsample is None:
                continue
            interval = subsample.interval
            low, high = (None, None) if interval is None else (interval.low, interval.high)
            is_narrow = low is not None and high is not None and -IDLE_MARGIN < low <= high < IDLE_MARGIN
            if is_narrow or subsample.reason == "identical":
                cases.append(
                    {
                        "instance": network.instance,
                        "step": network.step,
                        "split": split,
                        "input_layer": row.input_layer,
                        "layer": row.output_layer,
                        "difference": row.difference,
                        "low": low,
                        "high": high,
                    }
                )
    total = sum(1 for _ in trained(report))
    cases = [case for case in cases if sum(other["layer"] == case["layer"] for other in cases) == total]
    if cases:
        names = layers_of(cases, report)
        yield finding(
            "idle_layers",
            "info",
            f"{listed(names)} {verb(names, 'changes', 'change')} class separation on {data_of(cases[0]['split'])} by "
            f"less than {IDLE_MARGIN:.2f} (95% confidence).",
            cases,
        )


def losing_layers(report: Report) -> Iterator[Finding]:
    """Steps of trained networks that lose separation (familywise level .05); a warning from a loss of .05 on."""
    cases: list[Case] = []
    for network, splits in trained(report):
        split, _ = held_out(splits)
        cases += [
            {
                "instance": network.instance,
                "step": network.step,
                "split": split,
                "input_layer": row.input_layer,
                "layer": row.output_layer,
                "difference": row.difference,
            }
            for row in losses(rows(report, "layer_step", network, split))
        ]
    if cases:
        cases.sort(key=lambda case: report.layers.index(str(case["layer"])))
        names = list(dict.fromkeys(f"{case['input_layer']} → {case['layer']}" for case in cases))
        largest = min(number(case["difference"]) for case in cases)
        yield finding(
            "losing_layers",
            "warning" if -largest >= NOTABLE_LOSS else "info",
            f"Class separation is lost on {data_of(cases[0]['split'])} at {listed(names)} "
            f"(up to {rounded(-largest, 3)}).",
            cases,
        )


def saturation(report: Report) -> Iterator[Finding]:
    """Layers of trained networks near the ceiling: mean HP >= .9 and fewer than 10 cross edges left to lose."""
    cases: list[Case] = [
        {
            "instance": network.instance,
            "step": network.step,
            "split": split,
            "layer": separation.layer,
            "mean": separation.mean,
            "cross_edges": sum(separation.pairs.cross_edges),
            "ceiling": 1 - 1 / min(separation.n_per_class),
        }
        for network, splits in trained(report)
        for split, layers in splits.items()
        for separation in layers.values()
        if separation.mean >= CEILING and _spare_edges(separation) < SATURATED_CROSS_EDGES
    ]
    if cases:
        names = layers_of(cases, report)
        splits_named = " and ".join(sorted({data_of(case["split"]) for case in cases}))
        yield finding(
            "saturation",
            "info",
            f"{listed(names)} {verb(names, 'is', 'are')} saturated on {splits_named}: almost every class pair "
            "has the largest value that this number of points allows, so changes there cannot be measured.",
            cases,
        )


def worst_class_pairs(report: Report) -> Iterator[Finding]:
    """Class pairs of the last layer that are >= .1 and significantly below its mean, on the split held out.

    Significantly: by the standard deviation of one pair's statistic without separation, ``sqrt((m+n)/(4mn))``, which
    that with separation resembles; Holm over the pairs of the layer.
    """
    from scipy.special import ndtr

    cases: list[Case] = []
    for network, splits in trained(report):
        split, layers = held_out(splits)
        last = list(layers.values())[-1]
        pairs = last.pairs
        if len(pairs.statistic) < 2 or not separated_layers({last.layer: last}):
            continue
        deviations = [((m + n) / (4 * m * n)) ** 0.5 for m, n in zip(pairs.n_a, pairs.n_b, strict=True)]
        p_values = holm([float(ndtr((x - last.mean) / sd)) for x, sd in zip(pairs.statistic, deviations, strict=True)])
        behind: list[Case] = [
            {"class_a": a, "class_b": b, "statistic": statistic}
            for a, b, statistic, p in zip(pairs.class_a, pairs.class_b, pairs.statistic, p_values, strict=True)
            if p is not None and p <= LEVEL and statistic <= last.mean - PAIR_BEHIND
        ]
        if behind:
            behind.sort(key=lambda pair: number(pair["statistic"]))
            cases.append(
                {
                    "instance": network.instance,
                    "step": network.step,
                    "split": split,
                    "layer": last.layer,
                    "mean": last.mean,
                    "pairs": list(behind),
                }
            )
    if cases:
        named = [pair for case in cases for pair in _cases(case["pairs"])]
        names = list(dict.fromkeys(f"{pair['class_a']} – {pair['class_b']}" for pair in named))
        lowest = min(number(pair["statistic"]) for pair in named)
        yield finding(
            "worst_class_pairs",
            "info",
            f"At {cases[0]['layer']} these class pairs stay far behind the rest on {data_of(cases[0]['split'])}: "
            f"{listed(names)} (down to {rounded(lowest)}, mean {rounded(cases[0]['mean'])}).",
            cases,
        )


def _cases(value: JsonValue) -> list[Case]:
    assert isinstance(value, list), "evidence holds a list here"
    return [case for case in value if isinstance(case, dict)]


def _spare_edges(separation: Separation) -> float:
    """Cross edges beyond the one that every tree must have."""
    return sum(separation.pairs.cross_edges) - len(separation.pairs.cross_edges)
