"""A report as a pandas DataFrame."""

from typing import TYPE_CHECKING

from contract.schemas import Report
from interlayer.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def report_frame(report: Report) -> "pd.DataFrame":
    """Return the pair values of a report as a long table: one row for each class pair of each layer.

    Columns: `instance`, `state`, `split` and `layer` (categories in the order of the report), `step`, `class_a`,
    `class_b`, `n_a`, `n_b`, `cross_edges` (of the spanning tree), `statistic` (Henze-Penrose, 0 mixed to 1 apart),
    `z`, `p_value`. So `frame.groupby(["state", "split", "layer"])["statistic"].mean()` is a table of means.

    Raises
    ------
    UsageError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError(f'a DataFrame needs pandas: pip install "interlayer[pandas]" [{error}]') from error
    parts = [
        pd.DataFrame(
            {
                "instance": found.instance,
                "state": found.state,
                "split": found.split,
                "step": found.step,
                "layer": found.layer,
                "class_a": found.pairs.class_a,
                "class_b": found.pairs.class_b,
                "n_a": found.pairs.n_a,
                "n_b": found.pairs.n_b,
                "cross_edges": found.pairs.cross_edges,
                "statistic": found.pairs.statistic,
                "z": pd.Series(found.pairs.z, dtype="float64"),
                "p_value": pd.Series(found.pairs.p_value, dtype="float64"),
            }
        ).astype({"step": "Int64"})
        for found in report.separations
    ]
    frame = pd.concat(parts, ignore_index=True)
    orders = {
        "layer": list(report.layers),
        "state": ["untrained", "trained"],
        "split": ["train", "validation"],
        "class_a": list(report.classes),
        "class_b": list(report.classes),
    }
    for column, order in orders.items():
        frame[column] = pd.Categorical(frame[column], categories=order, ordered=True)
    return frame
