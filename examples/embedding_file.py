"""Embeddings without a network: how much class separation is left in 32, 8 and 2 principal components?

A file holds the vectors of the same rows as one array for each embedding, and the labels. The first array is what the
others were made from, so each step says what the smaller embedding costs.
"""

from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.datasets import load_digits

from interlayer.local import LocalInput, analyze
from interlayer.render.terminal import print_report

DIMENSIONS = (32, 8, 2)


def main(folder: Path = Path()) -> None:
    """Find components on half of the rows, embed both halves, and analyse the two files."""
    images, labels = load_digits(return_X_y=True)
    order = np.argsort(labels, kind="stable")  # every second row of it is half of each class
    halves = {"train": order[::2], "validation": order[1::2]}
    centre = images[halves["train"]].mean(axis=0)
    _, _, components = np.linalg.svd(images[halves["train"]] - centre, full_matrices=False)

    inputs = []
    for split, rows in halves.items():
        arrays = {"pixels": images[rows]}
        for dimension in DIMENSIONS:
            arrays[f"{dimension} components"] = (images[rows] - centre) @ components[:dimension].T
        path = folder / f"embeddings-{split}.npz"
        np.savez(path, labels=labels[rows], **arrays)
        inputs.append(LocalInput(path, split=split))
    print_report(analyze(inputs), Console())


if __name__ == "__main__":
    main()
