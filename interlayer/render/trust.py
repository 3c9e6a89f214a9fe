"""What may be said of a network's numbers before they are believed: questions, each with its answer in a sentence."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from contract.schemas import Draws, OverallTest, SampleSizeTrend, Separation, State
from interlayer.render import text, wording
from interlayer.render.networks import Contrasts, Network, Series, contrasts, result_by

LEVEL = 0.05
# Tests that compare training and validation data sample by sample.
SAMPLE_TESTS = ("membership", "membership_score")
SIZES = ("n/4", "n/2", "n")
_MOST_NAMED = 3

_Part = TypeVar("_Part", OverallTest, SampleSizeTrend, Draws)


@dataclass(frozen=True)
class Answer:
    """A question that a reader should ask, and what the report says."""

    question: str
    said: str


@dataclass(frozen=True)
class Column:
    """A number that goes with every mean: its heading, and how it is written."""

    heading: str
    cell: Callable[[Separation], str]


def has_samplings(series: Series) -> bool:
    """Whether a series was measured on fewer samples or on other draws of them, so that there is more to draw."""
    return any(part.trend or part.draws for part in series.layers.values())


def columns(found: Iterable[Series]) -> list[Column]:
    """Return the columns of chance, number of samples and draws, those without a number left out."""
    parts = [part for series in found for part in series.layers.values()]
    shown = []
    if any(part.any_separation for part in parts):
        shown += [Column("overall", _overall), Column("p", _overall_p)]
    if any(part.trend for part in parts):
        shown += [Column(size, partial(_mean_at, at)) for at, size in enumerate(SIZES)]
        shown.append(Column("limit", _limit))
    if draws := next((part.draws.count for part in parts if part.draws), None):
        shown += [
            Column(f"mean of {text.count(draws, 'draw')}", _draws_mean),
            Column("their sd", _draws_sd),
            Column("their range", _draws_range),
        ]
    return shown


def reasons(found: Iterable[Series]) -> list[str]:
    """Return why some of the limits are missing, each reason once."""
    trends = [part.trend for series in found for part in series.layers.values() if part.trend]
    return list(dict.fromkeys(trend.reason for trend in trends if trend.reason))


def _overall(part: Separation) -> str:
    return text.number(part.any_separation.statistic if part.any_separation else None)


def _overall_p(part: Separation) -> str:
    return text.p_value(part.any_separation.p_value if part.any_separation else None)


def _mean_at(size: int, part: Separation) -> str:
    means = part.trend.means if part.trend else []
    return text.number(means[size] if size < len(means) else None)


def _limit(part: Separation) -> str:
    return text.number(part.trend.limit if part.trend else None)


def _draws_mean(part: Separation) -> str:
    return text.number(part.draws.mean if part.draws else None)


def _draws_sd(part: Separation) -> str:
    return text.number(part.draws.sd if part.draws else None)


def _draws_range(part: Separation) -> str:
    return text.interval(part.draws.min, part.draws.max) if part.draws else text.MISSING


def possible_limit(trend: SampleSizeTrend | None) -> float | None:
    """Return the limit, unless it is one that no two classes can have: noise then points beyond 1."""
    return trend.limit if trend and trend.limit is not None and abs(trend.limit) <= 1 else None


def about_means(network: Network) -> list[Answer]:
    """Answer what chance, the number of samples and their draw have to do with the means."""
    answers = (
        ("More than chance?", _chance(network)),
        ("Enough samples?", _samples(network)),
        ("The same on other draws?", _draws(network)),
    )
    return [Answer(question, said) for question, said in answers if said]


def about_splits(network: Network) -> list[Answer]:
    """Answer what comparing training and validation data sample by sample has found."""
    tables = contrasts(network, "generalization_gap")
    answers = [
        Answer(wording.method(method).heading, _membership(tables, method))
        for method in SAMPLE_TESTS
        if any(method in (table.method, *table.others) for table in tables)
    ]
    if network.shifts:
        answers.append(Answer(wording.SHIFT.heading, _shift(network)))
    return answers


def _chance(network: Network) -> str:
    places, all_beyond = [], True
    for series in network.series:
        known = _known(series, lambda part: part.any_separation)
        mixed = [part.layer for part, found in known if not _is_below(found.p_value)]
        all_beyond = all_beyond and not mixed
        if known:
            places.append(f"in the {_where(series)} {_beyond(mixed, len(known))}")
    if not places:
        return ""
    test = f"One tree over all samples joins different classes less often than chance (p < {LEVEL}, not adjusted)"
    return f"{test} {'at every layer' if all_beyond else '; '.join(places)}."


def _beyond(mixed: Sequence[str], n_tested: int) -> str:
    counted = text.count(n_tested, "layer")
    if not mixed:
        return "at every layer"
    if len(mixed) == n_tested:
        return f"at none of {counted}"
    return f"at {n_tested - len(mixed)} of {counted} (not {_listed(mixed)})"


def _samples(network: Network) -> str:
    found = [
        (means[2] - means[1], trend, part, series)
        for series in network.series
        for part, trend in _known(series, lambda part: part.trend)
        if (means := trend.means) and len(means) == len(trend.n_per_class) == len(SIZES)
    ]
    if not found:
        return ""
    move, trend, part, series = max(found, key=lambda item: abs(item[0]))
    _, half, full = trend.n_per_class
    said = (
        f"From {half:,} to {full:,} samples per class means still move by up to {text.signed(move)} "
        f"({text.visible(part.layer)}, {_where(series)})."
    )
    limits = [
        (abs(limit - part.mean), part, series)
        for _, trend, part, series in found
        if (limit := possible_limit(trend)) is not None
    ]
    if not limits:
        return f"{said} None of them points to a limit."
    away, part, series = max(limits, key=lambda item: item[0])
    return (
        f"{said} {len(limits)} of {len(found)} point to a limit, at most {text.number(away)} away "
        f"({text.visible(part.layer)}, {_where(series)})."
    )


def _draws(network: Network) -> str:
    found = [
        (draws.sd, draws, part, series)
        for series in network.series
        for part, draws in _known(series, lambda part: part.draws)
    ]
    if not found:
        return ""
    sd, draws, part, series = max(found, key=lambda item: item[0])
    return (
        f"Over {text.count(draws.count, 'random draw')} of the samples a mean has a standard deviation of up to "
        f"{text.number(sd)} ({text.visible(part.layer)}, {_where(series)})."
    )


def _known(series: Series, get: Callable[[Separation], _Part | None]) -> list[tuple[Separation, _Part]]:
    return [(part, known) for part in series.layers.values() if (known := get(part)) is not None]


def _membership(tables: Sequence[Contrasts], method: str) -> str:
    places = []
    for table in tables:
        found = {row.output_layer: result for row in table.rows if (result := result_by(row, method))}
        below = [layer for layer, result in found.items() if _is_below(result.p_adjusted)]
        places.append(_place(table.state, below, len(found)))
    return f"Adjusted p < {LEVEL} {', '.join(places)}."


def _shift(network: Network) -> str:
    places = []
    for state in network.states:
        found = [shift for shift in network.shifts if shift.state == state]
        if found:
            below = [shift.layer for shift in found if _is_below(shift.p_value)]
            places.append(_place(state, below, len(found)))
    return f"p < {LEVEL}, not adjusted, {', '.join(places)}."


def _place(state: State | None, below: Sequence[str], n_tested: int) -> str:
    network = "" if state is None else f"in the {wording.STATE[state].lower()} network "
    if not below:
        return f"{network}at none of {text.count(n_tested, 'layer')}"
    return f"{network}at {len(below)} of {text.count(n_tested, 'layer')} ({_listed(below)})"


def _is_below(p_value: float | None) -> bool:
    return p_value is not None and p_value < LEVEL


def _where(series: Series) -> str:
    return f"{wording.STATE[series.state].lower()} network on {wording.SPLIT[series.split]} data"


def _listed(layers: Sequence[str]) -> str:
    named = [text.visible(layer) for layer in layers[:_MOST_NAMED]]
    if len(layers) > _MOST_NAMED:
        named.append(f"{len(layers) - _MOST_NAMED} more")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
