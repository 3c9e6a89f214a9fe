"""Which layers and which rows of the inputs an analysis uses."""

import difflib
from collections.abc import Mapping, Sequence
from fnmatch import filter as matching_glob

import numpy as np

from contract.schemas import AnalysisRequest, InputReference, LayerSelection, ProblemError, SamplePart, Split
from worker.activations import ActivationFile
from worker.arrays import Array

_GLOB = frozenset("*?[")
# Both states of one split see the same images and must be cut alike; the two splits are drawn independently.
_SPLIT_NUMBER: Mapping[Split, int] = {"train": 0, "validation": 1}


def select_layers(names: Sequence[str], selection: LayerSelection) -> list[str]:
    """Return the selected layers in their own order.

    Raises
    ------
    ProblemError
        `unknown_layer` for a plain name that is not there, `no_layers` where nothing is left.
    """
    for name in (*selection.include, *selection.exclude):
        if not _GLOB & set(name):
            require_layer(name, names)
    included, excluded = _matching(names, selection.include), _matching(names, selection.exclude)
    chosen = [name for name in names if name in included and name not in excluded]
    if not chosen:
        raise ProblemError(
            "no_layers", f"no layer is left of {len(names)}: include {selection.include}, exclude {selection.exclude}"
        )
    return chosen


def _matching(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    # A name that is spelled out always means itself, even where it holds a glob character.
    return (set(names) & set(patterns)).union(*(matching_glob(names, pattern) for pattern in set(patterns)))


def require_layer(name: str, names: Sequence[str]) -> None:
    """Refuse a layer that is not there, and suggest the nearest names."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or list(names[:3])
        raise ProblemError("unknown_layer", f"there is no layer {name!r}; the nearest are {', '.join(map(repr, near))}")


def check_same_study(files: Sequence[ActivationFile], layers: Sequence[Sequence[str]]) -> None:
    """Refuse inputs that can't be compared: other classes, or other layers."""
    for file, names in zip(files, layers, strict=True):
        if file.classes != files[0].classes:
            different = sorted(set(file.classes) ^ set(files[0].classes))[:5]
            raise ProblemError(
                "class_mismatch", f"every input must have the same classes; these are not in all: {different}"
            )
        if set(names) != set(layers[0]):
            different = sorted(set(names) ^ set(layers[0]))[:5]
            raise ProblemError(
                "layer_mismatch",
                f"every input must have the same layers; these are not in all: {different}. "
                "Choose common ones with `layers`",
            )


def same_rows(references: Sequence[InputReference], files: Sequence[ActivationFile]) -> bool:
    """Tell whether all states of an instance list the labels of a split in the same order, as the same images would."""
    first: dict[tuple[str, Split], Array] = {}
    return all(
        np.array_equal(first.setdefault((item.instance, item.split), file.codes), file.codes)
        for item, file in zip(references, files, strict=True)
    )


def rows_per_class(request: AnalysisRequest, files: Sequence[ActivationFile]) -> int | None:
    """Return how many rows of every class are drawn; None keeps all."""
    smallest = min(int(np.bincount(file.codes).min()) for file in files)
    rule = request.sampling.per_class
    if rule == "all":
        return None
    if rule == "equal":
        return smallest
    if rule > smallest:
        raise ProblemError(
            "too_few_samples",
            f"`sampling.per_class` is {rule} but a class has only {smallest} rows; ask for at most that, or 'equal'",
        )
    return rule


def draw_rows(
    codes: Array, per_class: int | None, *, seed: int, split: Split, number: int = 0, part: SamplePart | None = None
) -> Array | None:
    """Return the sorted rows of one seeded draw without replacement, None where every row is used.

    Each `number` is a draw of its own; the first is the one that a report is made of. A `part` is a share of each
    class of that draw; two parts of a draw have no row in common.
    """
    counts = np.bincount(codes)
    if part is None and (per_class is None or (counts == per_class).all()):
        return None
    chosen = []
    for code, count in enumerate(counts):
        rows = np.flatnonzero(codes == code)
        generator = np.random.default_rng([seed, _SPLIT_NUMBER[split], code, number])
        drawn = generator.choice(rows, int(count) if per_class is None else per_class, replace=False)
        chosen.append(drawn if part is None else _share(drawn, part))
    return np.sort(np.concatenate(chosen))


def _share(rows: Array, part: SamplePart) -> Array:
    size = len(rows) // part.of
    if size < 2:
        raise ProblemError(
            "too_few_samples",
            f"a class has {len(rows)} rows, too few for {part.of} parts of two; ask for fewer parts or give more rows",
        )
    return rows[part.number * size : (part.number + 1) * size]


def all_draws(
    codes: Array, per_class: int | None, *, seed: int, split: Split, count: int, part: SamplePart | None = None
) -> Array | None:
    """Return the sorted rows that any of `count` draws has, None where every row is used."""
    draws = [draw_rows(codes, per_class, seed=seed, split=split, number=number, part=part) for number in range(count)]
    found = [rows for rows in draws if rows is not None]
    return np.unique(np.concatenate(found)) if found else None


def fold_seed(seed: int, split: Split) -> int:
    """Return the seed of the folds: the same for all layers and states of a split, independent between the splits."""
    return int(np.random.SeedSequence([seed, _SPLIT_NUMBER[split]]).generate_state(1, np.uint64)[0])
