"""The calibration page: tables, the picture, and how to read them."""

from collections.abc import Sequence
from pathlib import Path

from calibration.chart import rejection_chart
from calibration.simulate import Outcome

_INTRODUCTION = """# Calibration: what the tests really do

Written by `make calibrate` (`python -m calibration`). Numbers: [calibration.json](calibration.json).

Every scenario draws activations with a known truth many times and counts how often a test rejects. Where there is
nothing to find, a test at .05 should reject in at most 5 % of the repetitions; the second number is at .01. The ± is
one standard error of the first. *V ratio* is the mean of the estimated variance over the variance that was seen;
*coverage* is the share of 95 % intervals that held the true mean difference.

| method | the question it answers | use |
|---|---|---|
| `subsample` | these classes, new images, this n | default |
| `class_jackknife` | a population of classes like these | when the classes are declared a sample |
| `permutation` | are the values of class pairs exchangeable? (the paper's test) | for comparison with the paper |
| `sign_flip` | the same, pair by pair | never: shown because it is the tempting repair |
| `membership_score` | is it exchangeable which images were trained on? | on request |
| `same_class_friedman_rafsky` | do the two sets differ at all? | a diagnosis of a shift, not of a gap |
"""

_SECTIONS = (
    (
        "A step between two layers, nothing to find",
        "step",
        "null",
        (
            "Both layers separate the classes equally; half of their noise is shared. Two-sided tests. The permutation "
            "test treats pairs that share a class as independent: where all pairs are alike its size is a multiple of "
            "the nominal one, where they are unlike their own spread hides the error. With K = 3 it has no p-value "
            "below .1, and for K = 2 there is one pair and nothing to permute."
        ),
    ),
    (
        "A step that is there: power",
        "step",
        "effect",
        (
            "The class means are moved apart. Only the power of methods that keep their level is comparable. Where the "
            "second layer is saturated a report gives no subsample p-value; here it was computed all the same."
        ),
    ),
    (
        "Equal in the population of classes, not for these",
        "step",
        "other_null",
        (
            "Each layer places its classes at random. For *these* classes there is a difference, and the subsample "
            "test is right to find it; for the population there is none, and only the jackknife keeps its level. "
            "Variance and coverage are those for the population."
        ),
    ),
    (
        "Training against validation, nothing to find",
        "gap",
        "null",
        (
            "One-sided tests of a gap. The common shift moves all validation points alike: the diagnosis of a shift "
            "sees it, and the tests of the gap must not. (Membership is not exchangeable then; its score test is shown "
            "all the same.)"
        ),
    ),
    (
        "Training against validation, memorized: power",
        "gap",
        "effect",
        "Training points are pulled towards their class after the fact.",
    ),
)


def write_page(outcomes: Sequence[Outcome], page: Path) -> None:
    """Write the page, and its pictures in the folder ``pictures`` beside it."""
    parts = [_INTRODUCTION]
    for kind, name in (("step", "layer steps"), ("gap", "train-validation gaps")):
        nulls = [outcome for outcome in outcomes if outcome.kind == kind and outcome.truth == "null"]
        if not nulls:
            continue
        picture = page.parent / "pictures" / f"calibration-{kind}.svg"
        title = f"Rejections at .05 where nothing is to be found: {name}"
        picture.write_text(rejection_chart(nulls, title=title))
        parts.append(f"![{title}](pictures/{picture.name})\n")
    for title, kind, truth, text in _SECTIONS:
        rows = [outcome for outcome in outcomes if outcome.kind == kind and outcome.truth == truth]
        if rows:
            parts.append(f"## {title}\n\n{text}\n\n{_table(rows)}")
    page.write_text("\n".join(parts))


def _table(rows: Sequence[Outcome]) -> str:
    lines = [
        "| scenario | K | n | d | method | repeats | rejected .05 | .01 | mean difference | V ratio | coverage |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    previous: tuple[str, int] | None = None
    for row in rows:
        here = (row.scenario, row.n_classes)
        name, k, n, d = (
            (row.scenario, str(row.n_classes), row.n, str(row.dimension)) if here != previous else ("", "", "", "")
        )
        previous = here
        cells = [
            name,
            k,
            n,
            d,
            f"`{row.method}`",
            str(row.available),
            f"{row.rejected_05:.3f} ± {row.standard_error:.3f}",
            f"{row.rejected_01:.3f}",
            f"{row.mean_difference:.3f}",
            "" if row.variance_ratio is None else f"{row.variance_ratio:.2f}",
            "" if row.coverage is None else f"{row.coverage:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
