"""Activations that you have as arrays, from whatever made them: here, the layers of a scikit-learn network."""

from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from interlayer.local import LocalInput, analyze
from interlayer.render.terminal import print_report


def main(folder: Path = Path()) -> None:
    """Write a file with one array a layer and the labels, and analyse it in this process."""
    images, labels = load_digits(return_X_y=True)
    network = MLPClassifier((64,), early_stopping=True, random_state=0).fit(images, labels)
    hidden = np.maximum(images @ network.coefs_[0] + network.intercepts_[0], 0)
    output = hidden @ network.coefs_[1] + network.intercepts_[1]

    np.savez(folder / "activations.npz", **{"0.Input": images, "1.ReLU": hidden, "2.Dense": output}, labels=labels)
    report = analyze([LocalInput(folder / "activations.npz")])
    print_report(report, Console())


if __name__ == "__main__":
    main()
