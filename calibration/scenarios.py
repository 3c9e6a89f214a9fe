"""Activations with a known truth: two layers of the same images, or one layer on two sets of images."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Kind = Literal["step", "gap"]
Truth = Literal["null", "effect", "other_null"]


@dataclass(frozen=True)
class Sample:
    """Two sets of activations to compare; in a step both are of the same images."""

    first: Floats
    second: Floats
    labels_first: Labels
    labels_second: Labels


@dataclass(frozen=True)
class Scenario:
    """One row of the tables.

    `truth` is ``"null"`` where no difference exists for these classes, ``"effect"`` where one does, and
    ``"other_null"`` where there is none in the population of classes but one for the classes at hand.
    """

    name: str
    kind: Kind
    truth: Truth
    n_classes: int
    sizes: tuple[int, ...]
    dimension: int
    repeats: int
    draw: Callable[["Scenario", np.random.Generator], Sample] = field(repr=False)

    @property
    def labels(self) -> Labels:
        """Class of every image."""
        return np.repeat(np.arange(self.n_classes), self.sizes)

    @property
    def n(self) -> str:
        """Points per class, for a table."""
        low, high = min(self.sizes), max(self.sizes)
        return str(low) if low == high else f"{low}-{high}"


def simplex(n_classes: int, dimension: int, distance: float) -> Floats:
    """Class means at equal distances from each other."""
    return np.asarray(distance / np.sqrt(2) * np.eye(n_classes, dimension))


def scattered(n_classes: int, dimension: int, scale: float, seed: int = 1) -> Floats:
    """Class means at distances of their own, the same in every repetition."""
    means: Floats = np.random.default_rng(seed).normal(size=(n_classes, dimension))
    return scale * means


def layers(
    means: Callable[[int, int], Floats] | None = None,
    *,
    stretch: float = 1.0,
    after: Callable[[Floats], Floats] = lambda values: values,
) -> Callable[[Scenario, np.random.Generator], Sample]:
    """Two layers that share half of their noise; the second has its class means stretched."""

    def draw(scenario: Scenario, generator: np.random.Generator) -> Sample:
        labels, d = scenario.labels, scenario.dimension
        centres = np.zeros((scenario.n_classes, d)) if means is None else means(scenario.n_classes, d)
        noise, own = generator.normal(size=(2, labels.size, d))
        first = noise + centres[labels]
        second = np.sqrt(0.5) * (noise + own) + stretch * centres[labels]
        return Sample(after(first), after(second), labels, labels)

    return draw


def population(scale: float) -> Callable[[Scenario, np.random.Generator], Sample]:
    """Two layers that place the classes at random, each anew: equal in the population, different for these classes."""

    def draw(scenario: Scenario, generator: np.random.Generator) -> Sample:
        labels, d = scenario.labels, scenario.dimension
        noise, own = generator.normal(size=(2, labels.size, d))
        centres = scale * generator.normal(size=(2, scenario.n_classes, d))
        second = np.sqrt(0.5) * (noise + own)
        return Sample(noise + centres[0][labels], second + centres[1][labels], labels, labels)

    return draw


def splits(
    means: Callable[[int, int], Floats] | None = None, *, memorized: float = 0.0, shift: float = 0.0
) -> Callable[[Scenario, np.random.Generator], Sample]:
    """Training and validation images of the same classes; memorizing pulls the training classes apart."""

    def draw(scenario: Scenario, generator: np.random.Generator) -> Sample:
        labels, d = scenario.labels, scenario.dimension
        centres = np.zeros((scenario.n_classes, d)) if means is None else means(scenario.n_classes, d)
        train, validation = generator.normal(size=(2, labels.size, d)) + centres[labels]
        train = train + simplex(scenario.n_classes, d, memorized)[labels]
        return Sample(train, validation + shift, labels, labels)

    return draw


def trained_network() -> Callable[[Scenario, np.random.Generator], Sample]:
    """A network trained on 600 digits; the hidden layer of 2 random halves of digits it has not seen: no gap."""
    held_out: list[tuple[Floats, Labels]] = []

    def draw(scenario: Scenario, generator: np.random.Generator) -> Sample:
        if not held_out:
            held_out.append(_hidden_digits())
        hidden, labels = held_out[0]
        first, second = [], []
        for k, size in enumerate(scenario.sizes):
            members = generator.permutation(np.flatnonzero(labels == k))[: 2 * size]
            first.append(members[:size])
            second.append(members[size:])
        a, b = np.concatenate(first), np.concatenate(second)
        return Sample(hidden[a], hidden[b], labels[a], labels[b])

    return draw


def _hidden_digits() -> tuple[Floats, Labels]:
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    digits = load_digits()
    pixels, labels = digits.data / 16.0, digits.target.astype(np.int64)
    # Noise makes the classes overlap: without it the layer is saturated and there is nothing to test.
    pixels = pixels + np.random.default_rng(0).normal(scale=0.5, size=pixels.shape)
    network = MLPClassifier((64,), max_iter=60, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 60 epochs are not meant to converge
        network.fit(pixels[:600], labels[:600])
    hidden = np.maximum(pixels[600:] @ network.coefs_[0] + network.intercepts_[0], 0.0)
    return hidden, labels[600:]
