"""A report as findings read it: networks with their layers, and the default reading of a test."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contract.schemas import Report, Separation, Split, State, TestResult, TestRow
from hpcore.inference import subsample_test
from hpcore.multiplicity import holm

LEVEL = 0.05

Layers = Mapping[str, Separation]


@dataclass(frozen=True, order=True)
class Network:
    """One network state at one point of training."""

    instance: str
    state: State
    step: int | None

    @property
    def name(self) -> str:
        """For sentences."""
        moment = "" if self.step is None else f" at step {self.step}"
        return f"instance {self.instance}{moment}"


def networks(report: Report) -> dict[Network, dict[Split, dict[str, Separation]]]:
    """Every network of a report with its splits and layers, in the order of the report."""
    found: dict[Network, dict[Split, dict[str, Separation]]] = {}
    for separation in report.separations:
        network = Network(separation.instance, separation.state, separation.step)
        found.setdefault(network, {}).setdefault(separation.split, {})[separation.layer] = separation
    return found


def trained(report: Report) -> Iterator[tuple[Network, dict[Split, dict[str, Separation]]]]:
    """The trained networks among them."""
    return ((network, splits) for network, splits in networks(report).items() if network.state == "trained")


def held_out(splits: Mapping[Split, Layers]) -> tuple[Split, Layers]:
    """Validation data where there are any: what was trained on says little about the classes."""
    split: Split = "validation" if "validation" in splits else "train"
    return split, splits[split]


def rows(report: Report, family: str, network: Network, split: Split | None = None) -> list[TestRow]:
    """The tests of one table."""
    return [
        row
        for row in report.tests
        if row.family == family
        and (row.instance, row.state, row.step) == (network.instance, network.state, network.step)
        and row.split == split
    ]


def reading(row: TestRow) -> TestResult:
    """The subsample test; where it has no p-value, the permutation test, whose level holds less well."""
    by_method = {result.method: result for result in row.results}
    subsample = by_method.get("subsample")
    if subsample is not None and subsample.p_value is not None:
        return subsample
    return by_method.get("permutation", row.results[0])


def is_significant(row: TestRow) -> bool:
    """Whether the default reading rejects, adjusted over its table."""
    adjusted = reading(row).p_adjusted
    return adjusted is not None and adjusted <= LEVEL


def separated_layers(layers: Layers) -> list[str]:
    """Layers whose mean is above zero at a familywise level of .05 over all layers of one network and split.

    The p-value of a layer is that of the one-sided subsample test of its mean; where there is none, that of the overall
    test; where that is missing too, the smallest Friedman-Rafsky p-value of its class pairs times their number.
    """
    p_values = holm([_layer_p_value(separation) for separation in layers.values()])
    return [layer for layer, p in zip(layers, p_values, strict=True) if p is not None and p <= LEVEL]


def _layer_p_value(separation: Separation) -> float | None:
    if separation.interval.low is not None and separation.fold_means is not None:
        return subsample_test(separation.mean, separation.fold_means, alternative="greater").p_value
    if separation.any_separation is not None:
        return separation.any_separation.p_value
    pairs = [p for p in separation.pairs.p_value if p is not None]
    return min(1.0, len(pairs) * min(pairs)) if pairs else None


def losses(table: list[TestRow]) -> list[TestRow]:
    """Steps that lose separation at a familywise level of .05 over their table, by the subsample test.

    Steps of trained networks are tested for gains; the same t says as much about losses.
    """
    p_values: list[float | None] = []
    for row in table:
        result = next((result for result in row.results if result.method == "subsample"), None)
        p = None if result is None else result.p_value
        if p is not None and row.alternative == "two-sided":
            p = p / 2 if row.difference > 0 else 1 - p / 2
        p_values.append(None if p is None else (1.0 if row.difference >= 0 else 1 - p))
    return [row for row, p in zip(table, holm(p_values), strict=True) if p is not None and p <= LEVEL]
