"""Reports of two hundred rows a class, with fold means, whose every number the test chooses."""

import itertools
from collections.abc import Mapping, Sequence

from contract.schemas import Interval, Pairs, Report, Separation, Split
from interlayer.policy import LoadedPolicy, read_policy
from tests.interlayer.render.sample import sample_report

ROWS = 200


def policy(rules: str, head: str = "") -> LoadedPolicy:
    """The policy of some rules, one to a line, in YAML."""
    lines = "".join(f"  - {{{line.strip()}}}\n" for line in rules.strip().splitlines())
    return read_policy(f"version: 1\n{head}rules:\n{lines}".encode(), "policy.yaml")


def report(
    means: Mapping[str, float | Sequence[float]],
    *,
    validation: Mapping[str, float | Sequence[float]] | None = None,
    spread: float = 0.02,
    classes: Sequence[str] = ("a", "b", "c"),
    rows: int = ROWS,
) -> Report:
    """A trained network on training data, or on training and validation data.

    A layer is the number of all its class pairs or one of each; `spread` is the standard deviation of its folds.
    """
    splits: list[tuple[Split, Mapping[str, float | Sequence[float]]]] = [("train", means)]
    if validation is not None:
        splits.append(("validation", validation))
    sample = sample_report(layers=list(means), classes=classes, states=("trained",))
    found = [
        _separation(split, layer, value, spread, classes, rows)
        for split, layers in splits
        for layer, value in layers.items()
    ]
    return sample.model_copy(update={"separations": found, "tests": [], "findings": []})


def _separation(
    split: Split, layer: str, value: float | Sequence[float], spread: float, classes: Sequence[str], rows: int
) -> Separation:
    pairs = list(itertools.combinations(classes, 2))
    wanted = [value] * len(pairs) if isinstance(value, float) else list(value)
    edges = [round(rows * (1 - item)) for item in wanted]
    values = [1 - count / rows for count in edges]
    mean = sum(values) / len(values)
    folds = [[mean + spread * sign for sign in (-1.2649, -0.6325, 0.0, 0.6325, 1.2649)] for _ in range(10)]
    return Separation(
        instance="0", state="trained", split=split, step=None, layer=layer, dimension=8, n_classes=len(classes),
        n_per_class=[rows] * len(classes), mean=mean, sd=None, min=min(values), max=max(values), quantiles={},
        interval=Interval(low=None, high=None, level=0.95, method="subsample", estimand="these_classes"),
        n_duplicates=0, n_zero_rows=0, fold_means=folds,
        pairs=Pairs(
            class_a=[a for a, _ in pairs], class_b=[b for _, b in pairs], n_a=[rows] * len(pairs),
            n_b=[rows] * len(pairs), cross_edges=[float(count) for count in edges], cross_edges_min=edges,
            cross_edges_max=edges, statistic=values, z=[None] * len(pairs), p_value=[None] * len(pairs),
        ),
    )  # fmt: skip
