"""What the units of an analysis cost: a grid of real runs, and the constants of `contract.costs` fitted to it.

Times are those that one thread spends on a processor, so a busy machine hardly matters.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import hpcore
from bench import data
from contract import cost_constants, costs
from contract.shapes import Shape
from hpcore.layer import measure_pairs

_QUICK_SIZE = 5_000_000
Case = tuple[int, int, int, str, str, str]  # rows of a class, classes, features, type, metric, kind of data

_SHAPES = [
    *[(n, 10, 64) for n in (10, 30, 90, 200, 500, 1000, 2000)],
    *[(n, 2, 64) for n in (10, 100, 1000, 5000)],
    *[(50, k, 64) for k in (3, 30, 100, 300)],
    *[(20, k, 512) for k in (30, 100, 400)],
    *[(200, 10, d) for d in (2, 4, 10, 16, 17, 32, 128, 512, 2048, 8192)],
    *[(50, 10, d) for d in (2, 16, 512, 30_000)],
    *[(1000, 10, d) for d in (4, 10, 256)],
    (1000, 5, 3072),
    (10, 1000, 10),
    (10, 600, 64),
    (50, 1000, 16),
    (300, 2, 30_000),
    (18, 10, 64),
    (18, 10, 3072),
    (18, 100, 10),
    (40, 100, 256),
]


def cases() -> list[Case]:
    """The grid: all shapes in float32, and some of them in other types, metrics and kinds of data."""
    grid: list[Case] = [(*shape, "float32", "euclidean", "relu") for shape in _SHAPES]
    for shape in [(200, 10, 8), (200, 10, 512), (1000, 10, 64), (50, 100, 64)]:
        grid += [(*shape, dtype, "euclidean", "relu") for dtype in ("float16", "float64")]
        grid += [(*shape, "float32", "cosine", "relu"), (*shape, "float32", "euclidean", "isotropic")]
        grid += [(*shape, "float32", "euclidean", "apart")]
    grid += [(500, 10, 10, "float32", "euclidean", "saturated"), (100, 30, 30, "float32", "euclidean", "saturated")]
    return grid


def rows_of(case: Case) -> data.Array:
    """Synthetic activations of a case."""
    n, k, d, dtype, _, kind = case
    if kind == "saturated":
        rows = data.softmax(d, k, n, sharpness=4.0)
    elif kind == "isotropic":
        rows = data.isotropic(d, k, n)
    else:
        rows = data.relu(d, k, n)
        if kind == "apart":
            rows += 20 * np.random.default_rng(1).standard_normal((k, d), np.float32)[data.labels(k, n)]
    rows = rows.astype(dtype)
    rows.flags.writeable = False
    return rows


def shape_of(case: Case) -> Shape:
    """The same as the cost model sees it."""
    n, k, d, dtype, metric, _ = case
    return Shape(rows=n * k, classes=k, features=d, smallest=n, dtype=dtype, metric=metric)


def processor_seconds(work: Callable[[], object], least: float = 0.3) -> float:
    """Median seconds of the processor; short works are repeated until they add up to something."""
    found: list[float] = []
    while not found or (sum(found) < least and len(found) < 50):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return float(np.median(found))


def processor_costs(quick: bool) -> dict[str, Any]:
    """Measure the grid and fit the constants; every case with its prediction."""
    from worker.warm_up import warm_up

    warm_up()
    grid = cases()[::4] if quick else cases()
    found: list[dict[str, Any]] = []
    for case in grid:
        rows, labels, metric = rows_of(case), data.labels(case[1], case[0]), case[4]
        if rows.size < _QUICK_SIZE:
            measure_pairs(rows, labels, metric=metric, n_threads=1)  # what is loaded at the first call is no cost
        seconds = {
            "pairs": processor_seconds(partial(measure_pairs, rows, labels, metric=metric, n_threads=1)),
            "measurement": processor_seconds(
                partial(hpcore.pairwise_henze_penrose, rows, labels, metric=metric, n_threads=1)
            ),
        }
        print(f"  {case}: {seconds['pairs']:.4f} {seconds['measurement']:.4f}", flush=True)
        found.append({"case": list(case), "seconds": seconds})
    tables = {name: fitted(found, name) for name in ("pairs", "measurement")}
    for each in found:
        amounts = costs.work(shape_of(tuple(each["case"])))
        each["predicted"] = {
            name: sum(table[kind] * amount for kind, amount in amounts.items()) for name, table in tables.items()
        }
    return {"cases": found, "seconds": tables | {"reading": reading()}}


def fitted(found: Sequence[Mapping[str, Any]], name: str) -> dict[str, float]:
    """Constants, none of them negative, for which the logarithms of predicted and measured seconds agree best."""
    from scipy.optimize import nnls

    amounts = [costs.work(shape_of(tuple(each["case"]))) for each in found]
    matrix = np.array([list(each.values()) for each in amounts])
    seconds = np.array([each["seconds"][name] for each in found])
    weights = 1.0 / seconds
    constants = np.zeros(matrix.shape[1])
    for _ in range(30):  # (p - s)² / (p s) is nearly (log p - log s)²
        constants, _residual = nnls(matrix * weights[:, None], seconds * weights)
        weights = 1.0 / np.sqrt(matrix @ constants * seconds)
    return {kind: float(f"{value:.3g}") for kind, value in zip(amounts[0], constants, strict=True)}


def reading() -> dict[str, float]:
    """Seconds a byte of each kind of file, and to copy drawn rows, from files that lie in the page cache."""
    from worker.activations import open_activations

    rows = data.relu(512, 10, 1000)
    labels, size = data.labels(10, 1000), rows.nbytes
    with tempfile.TemporaryDirectory() as name:
        found = {}
        for kind, save in (("stored_byte", np.savez), ("inflated_byte", np.savez_compressed)):
            path = Path(name) / f"{kind}.npz"
            save(path, labels=labels, layer=rows)
            layer = open_activations(path, max_unpacked_bytes=2**40).layers["layer"]
            found[kind] = processor_seconds(layer.load) / size
        from safetensors.numpy import save_file

        mapped = Path(name) / "mapped.safetensors"
        save_file({"labels": labels, "layer": rows}, mapped)
        layer = open_activations(mapped, max_unpacked_bytes=2**40).layers["layer"]
        found["mapped_byte"] = processor_seconds(lambda: layer.load().view(np.uint8).max()) / size
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: len(rows) // 2])
        found["drawn_byte"] = processor_seconds(lambda: rows[chosen]) / (size / 2)
        small = Path(name) / "small.npz"
        np.savez(small, labels=labels[::500], layer=rows[::500, :4])
        found["file"] = processor_seconds(
            lambda: len(open_activations(small, max_unpacked_bytes=2**40).layers["layer"].load())
        )
    return {kind: float(f"{value:.3g}") for kind, value in found.items()}


def write_constants(seconds: Mapping[str, Mapping[str, float]]) -> None:
    """Put measured seconds into ``contract/cost_constants.py``; tables that were not measured stay."""
    path = Path(cost_constants.__file__)
    head, rest = path.read_text().split("SECONDS: ")
    _, tail = rest.split("\nBYTES: ")
    tables = {**cost_constants.SECONDS, **seconds}
    lines = ["SECONDS: dict[str, dict[str, float]] = {"]
    for name, table in tables.items():
        lines += [f'    "{name}": {{', *(f'        "{kind}": {value!r},' for kind, value in table.items()), "    },"]
    path.write_text(head + "\n".join([*lines, "}", ""]) + "\nBYTES: " + tail)
