"""The scenarios of the calibration page."""

from functools import partial

import numpy as np

from calibration.scenarios import Floats, Scenario, layers, population, scattered, simplex, splits, trained_network

N = 80


def _even(n_classes: int, n: int = N) -> tuple[int, ...]:
    return (n,) * n_classes


def _uneven(n_classes: int) -> tuple[int, ...]:
    return tuple(np.linspace(80, 160, n_classes).astype(int).tolist())


def _quantised(values: Floats) -> Floats:
    return np.round(values)


def _dead(values: Floats) -> Floats:
    return np.maximum(values - 1.0, 0.0)


def scenarios() -> list[Scenario]:
    """Every scenario: nulls of a layer step, effects, hard cases, nulls and effects of a train-validation gap."""
    near = partial(simplex, distance=2.0)
    spread = partial(scattered, scale=0.8)
    grid: list[Scenario] = []
    for k, repeats in ((2, 1000), (3, 800), (5, 500), (10, 400), (20, 150)):
        grid.append(Scenario("no separation", "step", "null", k, _even(k), 5, repeats, layers()))
    for k, repeats in ((2, 600), (3, 500), (5, 400), (10, 150)):
        grid.append(Scenario("equal pairs", "step", "null", k, _even(k), 20, repeats, layers(near)))
        grid.append(Scenario("unlike pairs", "step", "null", k, _even(k), 5, repeats, layers(spread)))
        grid.append(Scenario("unlike pairs, unequal n", "step", "null", k, _uneven(k), 5, repeats, layers(spread)))
    for k, repeats in ((2, 400), (5, 250), (10, 100)):
        grid.append(
            Scenario("equal pairs, moved apart", "step", "effect", k, _even(k), 20, repeats, layers(near, stretch=1.25))
        )
    grid += [
        Scenario("other classes in each layer", "step", "other_null", 5, _even(5), 5, 300, population(0.8)),
        Scenario("other classes in each layer", "step", "other_null", 10, _even(10), 5, 100, population(0.8)),
        Scenario("n = 32 (two folds)", "step", "null", 5, _even(5, 32), 5, 500, layers(spread)),
        Scenario("n = 64 (four folds)", "step", "null", 5, _even(5, 64), 5, 400, layers(spread)),
        Scenario("n = 1000", "step", "null", 2, _even(2, 1000), 5, 400, layers()),
        Scenario("n = 1000, d = 64", "step", "null", 3, _even(3, 1000), 64, 100, layers(near)),
        Scenario("d = 300", "step", "null", 3, _even(3), 300, 300, layers(partial(simplex, distance=4.0))),
        Scenario("rounded values (ties)", "step", "null", 5, _even(5), 3, 200, layers(spread, after=_quantised)),
        Scenario("dead units (ties)", "step", "null", 5, _even(5), 6, 200, layers(spread, after=_dead)),
        Scenario("near saturation", "step", "null", 5, _even(5), 5, 300, layers(partial(simplex, distance=5.0))),
        Scenario("second layer saturated", "step", "effect", 5, _even(5), 5, 300, layers(near, stretch=4.5)),
    ]
    for k, repeats in ((5, 300), (10, 80)):
        grid.append(Scenario("no separation", "gap", "null", k, _even(k), 5, repeats, splits()))
        grid.append(Scenario("equal pairs", "gap", "null", k, _even(k), k, repeats, splits(near)))
    grid += [
        Scenario("common shift", "gap", "null", 5, _even(5), 5, 200, splits(near, shift=1.0)),
        Scenario("trained network, unseen digits", "gap", "null", 10, _even(10, 48), 64, 100, trained_network()),
        Scenario("random labels memorized", "gap", "effect", 5, _even(5), 5, 200, splits(memorized=0.9)),
        Scenario("separated, then memorized", "gap", "effect", 5, _even(5), 5, 200, splits(near, memorized=0.5)),
    ]
    return grid
