"""A table of measurements with classes that have names and unequal sizes: 357 benign and 212 malignant tumours.

By default every class is cut to the size of the smallest by one seeded draw; `"per_class": "all"` keeps every row.
The statistic depends on the share of the two classes, so the two readings differ, and only equal ones can be compared
between studies.
"""

from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier

from interlayer.local import LocalInput, analyze
from interlayer.render.terminal import print_report


def main(folder: Path = Path()) -> None:
    """Write the layers of a small network with its string labels, and analyse equal classes, then all rows."""
    data = load_breast_cancer()
    table = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    labels = data.target_names[data.target]  # "benign", "malignant"
    network = MLPClassifier((16,), alpha=1.0, max_iter=1000, random_state=0).fit(table, labels)
    hidden = np.maximum(table @ network.coefs_[0] + network.intercepts_[0], 0)
    output = hidden @ network.coefs_[1] + network.intercepts_[1]

    path = folder / "tumours.npz"
    np.savez(path, **{"0.Input": table, "1.ReLU": hidden, "2.Dense": output}, labels=labels)
    console = Console()
    print_report(analyze([LocalInput(path)]), console)
    everything = analyze([LocalInput(path)], {"sampling": {"per_class": "all"}})
    for part in everything.separations:
        sizes = dict(zip(everything.classes, part.n_per_class, strict=True))
        console.print(f"All rows, {part.layer}: {part.mean:.3f} with {sizes}", highlight=False)


if __name__ == "__main__":
    main()
