"""Findings about whole networks: do they separate classes, since which layer, and on which data."""

from collections.abc import Iterator

from pydantic import JsonValue

from contract.schemas import Finding, Report
from worker.readings import held_out, is_significant, rows, separated_layers, trained
from worker.sentences import Case, data_of, finding, layers_of, listed, number, rounded, share, verb

MEMORIZED_TRAINING = 0.5
"""Mean HP from which training data count as separated in the memorization rule."""
NOT_GENERALIZED = 0.1
"""Mean HP up to which validation data count as not separated at all."""
NOTABLE_GAP = 0.1
"""Gap between the splits from which a significant gap is a warning."""
SMALL_GAP = 0.02
"""Gap below which even a significant one is not worth a sentence."""


def memorization(report: Report) -> Iterator[Finding]:
    """Training data separated (mean HP >= .5) where validation data are not (<= .1), in a trained network."""
    cases: list[Case] = []
    for network, splits in trained(report):
        train, validation = splits.get("train", {}), splits.get("validation", {})
        layers: list[JsonValue] = [
            layer
            for layer in train
            if layer in validation
            and train[layer].mean >= MEMORIZED_TRAINING
            and validation[layer].mean <= NOT_GENERALIZED
        ]
        if layers:
            peak = max((train[str(layer)] for layer in layers), key=lambda separation: separation.mean)
            held = validation[peak.layer]
            cases.append(
                {
                    "instance": network.instance,
                    "step": network.step,
                    "layers": layers,
                    "layer": peak.layer,
                    "train": peak.mean,
                    "validation": held.mean,
                    "gap": peak.mean - held.mean,
                    "n": min(peak.n_per_class),
                }
            )
    if cases:
        worst = max(cases, key=lambda case: number(case["gap"]))
        yield finding(
            "memorization",
            "error",
            f"{share(cases, report)} memorized the training labels: at {worst['layer']} the classes are separated on "
            f"training data (mean HP {rounded(worst['train'])}) but not on validation data "
            f"({rounded(worst['validation'])}).",
            cases,
        )


def generalization_gap(report: Report) -> Iterator[Finding]:
    """Training data better separated than validation data, significantly and by >= .02; a warning from .1 on."""
    cases: list[Case] = []
    for network, _ in trained(report):
        gaps = [row for row in rows(report, "generalization_gap", network) if is_significant(row)]
        gaps = [row for row in gaps if row.difference >= SMALL_GAP]
        steps = [row for row in rows(report, "generalization", network) if is_significant(row) and row.difference > 0]
        if gaps:
            widest = max(gaps, key=lambda row: row.difference)
            cases.append(
                {
                    "instance": network.instance,
                    "step": network.step,
                    "layers": [row.output_layer for row in gaps],
                    "layer": widest.output_layer,
                    "gap": widest.difference,
                    "steps": [f"{row.input_layer} → {row.output_layer}" for row in steps],
                    "step_gaps": [row.difference for row in steps],
                }
            )
    if cases:
        worst = max(cases, key=lambda case: number(case["gap"]))
        opened = f" It opens at {listed(worst['steps'])}." if worst["steps"] else ""
        yield finding(
            "generalization_gap",
            "warning" if number(worst["gap"]) >= NOTABLE_GAP else "info",
            f"Training data are better separated than validation data in {listed(worst['layers'])}, "
            f"by up to {rounded(worst['gap'])} at {worst['layer']}.{opened}",
            cases,
        )


def no_separation(report: Report) -> Iterator[Finding]:
    """No layer of a trained network has a mean above zero (familywise level .05), on the split held out."""
    cases: list[Case] = []
    for network, splits in trained(report):
        split, layers = held_out(splits)
        if not separated_layers(layers):
            best = max(layers.values(), key=lambda separation: separation.mean)
            cases.append(
                {
                    "instance": network.instance,
                    "step": network.step,
                    "split": split,
                    "layer": best.layer,
                    "mean": best.mean,
                    "low": best.interval.low,
                    "high": best.interval.high,
                    "n": min(best.n_per_class),
                }
            )
    if cases:
        best_case = max(cases, key=lambda case: number(case["mean"]))
        yield finding(
            "no_separation",
            "warning",
            f"{share(cases, report)} {verb(cases, 'separates', 'separate')} the classes at no layer on "
            f"{data_of(best_case['split'])}; the largest mean HP is {rounded(best_case['mean'])} at "
            f"{best_case['layer']}.",
            cases,
        )


def first_separation(report: Report) -> Iterator[Finding]:
    """First layer of a trained network with a mean above zero (familywise level .05), on the split held out."""
    cases: list[Case] = []
    for network, splits in trained(report):
        split, layers = held_out(splits)
        separated = separated_layers(layers)
        if separated:
            first = layers[separated[0]]
            cases.append(
                {
                    "instance": network.instance,
                    "step": network.step,
                    "split": split,
                    "layer": first.layer,
                    "mean": first.mean,
                    "low": first.interval.low,
                    "high": first.interval.high,
                }
            )
    if cases:
        names = layers_of(cases, report)
        yield finding(
            "first_separation",
            "info",
            f"The first layer with significant class separation on {data_of(cases[0]['split'])} is "
            f"{listed(names, 'or')} (mean HP {rounded(cases[0]['mean'])}).",
            cases,
        )


def adaptation(report: Report) -> Iterator[Finding]:
    """First layer that training has improved (trained minus untrained, adjusted p <= .05), on the split held out."""
    cases: list[Case] = []
    for network, splits in trained(report):
        split, _ = held_out(splits)
        table = rows(report, "adaptation", network, split)
        improved = [row for row in table if is_significant(row)]
        if table:
            cases.append(
                {
                    "instance": network.instance,
                    "step": network.step,
                    "split": split,
                    "layer": improved[0].output_layer if improved else None,
                    "layers": [row.output_layer for row in improved],
                    "largest": max(row.difference for row in table),
                }
            )
    idle = [case for case in cases if case["layer"] is None]
    active = [case for case in cases if case["layer"] is not None]
    if idle:
        yield finding(
            "no_adaptation",
            "warning",
            f"{share(idle, report)} {verb(idle, 'shows', 'show')} no layer that training has improved on "
            f"{data_of(idle[0]['split'])}.",
            idle,
        )
    if active:
        names = layers_of(active, report)
        yield finding(
            "adaptation",
            "info",
            f"On {data_of(active[0]['split'])} training has improved class separation from {listed(names, 'or')} on, "
            f"by up to {rounded(max(number(case['largest']) for case in active))}.",
            active,
        )
