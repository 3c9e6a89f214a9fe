"""What a reader must know before trusting a number."""

from collections.abc import Sequence

from contract.schemas import ReportWarning, Separation
from worker.measuring import StudyInput
from worker.selection import same_rows

_DIMENSION_RATIO = 8  # a step that changes the dimension this much changes the estimator's bias with it


def warnings(
    inputs: Sequence[StudyInput], per_class: int | None, separations: Sequence[Separation]
) -> list[ReportWarning]:
    """Return what a reader must know before trusting a number."""
    references, files = [item.reference for item in inputs], [item.file for item in inputs]
    dropped_rows = sum(len(item.file.codes) - len(item.rows) for item in inputs if item.rows is not None)
    found: list[ReportWarning] = []

    def warn(code: str, message: str) -> None:
        found.append(ReportWarning(code=code, message=message))

    if dropped_rows:
        warn("rows_sampled", f"{dropped_rows} rows were left out so that every class has {per_class} in every input.")
    if left_out := list(dict.fromkeys(name for file in files for name in file.left_out)):
        warn(
            "layers_left_out",
            f"What a model returns without numbers for each row is no layer: {', '.join(left_out[:5])}"
            f"{f' and {len(left_out) - 5} more' if len(left_out) > 5 else ''}.",
        )
    if len({n for s in separations for n in s.n_per_class}) > 1:
        warn(
            "unequal_classes",
            "Classes or inputs differ in size. The statistic then estimates a divergence that depends on the sizes: "
            "pairs, and training with validation, are not comparable. `sampling.per_class` 'equal' avoids this.",
        )
    if not same_rows(references, files):
        warn(
            "row_order",
            "States of one instance list the labels of a split in different orders, so their rows are not the same "
            "images. Comparisons between them are less sensitive than they could be: record all in the same order.",
        )
    zero = max(s.n_zero_rows for s in separations)
    if zero:
        warn("zero_rows", f"Up to {zero} rows of a layer are all zero; cosine distance to them is 1 by convention.")
    dimensions = {s.layer: s.dimension for s in separations}
    jumps = [
        f"{a} → {b} ({dimensions[a]} → {dimensions[b]})"
        for a, b in zip(list(dimensions), list(dimensions)[1:], strict=False)
        if not 1 / _DIMENSION_RATIO < dimensions[a] / dimensions[b] < _DIMENSION_RATIO
    ]
    if jumps:
        warn(
            "dimension_change",
            "The estimate is biased towards 0, more so in high dimension, so a step between very different "
            f"dimensions moves it even where no separation is gained: {'; '.join(jumps[:5])}.",
        )
    artifacts = [item.artifact for item in references if item.artifact is not None]
    if len(set(artifacts)) < len(artifacts):
        warn("same_file_twice", "One file is used as two inputs; comparisons between these say nothing.")
    return found
