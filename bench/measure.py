"""Timings, interleaved; memory and first calls, each in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np

import hpcore
from bench import data, peers
from hpcore import permutation
from hpcore._approximation import FloatProducts
from hpcore._pair_counts import count_pairs
from hpcore._validate import class_labels
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests
from hpcore.threads import available_threads

Times = dict[str, float]
_SECONDS_OF_ALL_PAIRS = 5.0
_REST, _WARM_UP = 0.2, 0.1


def interleaved(works: Mapping[str, Callable[[], object]], n_repeats: int) -> dict[str, Times]:
    """Run all works in turn, again and again; median, least and greatest seconds.

    Each begins after a rest, for the threads of a BLAS wait for more work on all processors before they fall asleep.
    Then it runs once, or for a tenth of a second, before the time counts: a clock that has fallen takes 25 ms of work
    to rise again.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(n_repeats):
        for name, work in works.items():
            time.sleep(_REST)
            begin = time.perf_counter()
            work()
            while time.perf_counter() - begin < _WARM_UP:
                work()
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return {
        name: {"median": statistics.median(each), "min": min(each), "max": max(each)} for name, each in times.items()
    }


def float32_path(rows: data.Array, labels: data.Array) -> object:
    """The whole job with bounds from float32 products instead of 16-bit ones."""
    groups, n_threads = class_labels(labels, len(rows)), available_threads()
    forests = Forests(
        distinct_points(rows, "euclidean", n_threads=n_threads),
        groups.codes,
        len(groups.classes),
        n_threads=n_threads,
        memory_budget=None,
        report=lambda *_: None,
        approximation=FloatProducts,
    )
    return count_pairs(forests, "average", lambda *_: None)


def against_ssyrk(rows: data.Array, labels: data.Array, n_repeats: int) -> dict[str, Any]:
    """The whole job and the bare product of the same matrix, into memory that is there already: time ÷ SSYRK."""
    from scipy.linalg.blas import ssyrk

    turned = np.asfortranarray(rows.T)
    product = np.zeros((len(rows), len(rows)), np.float32, order="F")
    works: dict[str, Callable[[], object]] = {
        "ssyrk": lambda: ssyrk(1.0, turned, trans=1, c=product, overwrite_c=1),
        "ours": lambda: hpcore.pairwise_henze_penrose(rows, labels),
    }
    if rows.shape[1] > 16:
        works["ours_float32"] = lambda: float32_path(rows, labels)
    times = interleaved(works, n_repeats)
    ratios = {name: times[name]["median"] / times["ssyrk"]["median"] for name in works if name != "ssyrk"}
    least = {name: times[name]["min"] / times["ssyrk"]["min"] for name in works if name != "ssyrk"}
    return {"shape": list(rows.shape), "seconds": times, "ratio_of_medians": ratios, "ratio_of_minima": least}


def peers_on_pairs(rows: data.Array, labels: data.Array, n_pairs: int, *, slow: bool) -> dict[str, Any]:
    """Seconds per pair of every peer: the mean over all pairs where these take a few seconds, after one to warm up.

    Else the median over the first `n_pairs`: then times the number of pairs it is an extrapolation.
    """
    answer: dict[str, Any] = {}
    pairs = list(combinations(np.unique(labels), 2))

    def seconds_of(peer: peers.Peer, pair: tuple[int, int]) -> float:
        chosen = np.isin(labels, pair)
        part, is_first = np.ascontiguousarray(rows[chosen]), labels[chosen] == pair[0]
        start = time.perf_counter()
        peer(part, is_first)
        return time.perf_counter() - start

    for name, peer in peers.installed().items():
        if name in peers.SLOW_PEERS and not slow:
            continue
        seconds = [seconds_of(peer, pair) for pair in (pairs[:1] if name in peers.SLOW_PEERS else pairs[:n_pairs])]
        per_pair = statistics.median(seconds)
        if min(seconds) * len(pairs) < _SECONDS_OF_ALL_PAIRS:
            seconds = [seconds_of(peer, pair) for pair in pairs]
            per_pair = statistics.fmean(seconds)
        answer[name] = {"seconds_per_pair": per_pair, "pairs": len(seconds)}
    return answer


def permutation_tests(n_repeats: int, n_tests: int = 13) -> dict[str, Any]:
    """Tests of 45 values against 45 for the steps between layers: exact, by shared draws, and by draws of scipy."""
    from scipy.stats import permutation_test

    rng = np.random.default_rng(0)
    shifts = np.linspace(0, 300, n_tests).astype(int)  # cross edges of 1000 + 1000 points
    before = rng.integers(300, 600, (n_tests, 45))
    a, b = (1.0 - each / 1000.0 for each in (before - shifts[:, None], rng.integers(300, 600, (n_tests, 45))))

    def by_scipy() -> list[float]:
        def difference(x: data.Array, y: data.Array, axis: int) -> Any:
            return np.mean(x, axis=axis) - np.mean(y, axis=axis)

        options: Any = {"vectorized": True, "n_resamples": 49_999, "alternative": "greater", "batch": 5000}
        return [permutation_test(pair, difference, rng=1, **options).pvalue for pair in zip(a, b, strict=True)]

    works: dict[str, Callable[[], object]] = {
        "exact": lambda: permutation.permutation_tests(a, b, alternative="greater", method="exact"),
        "shared draws": lambda: permutation.permutation_tests(
            a, b, alternative="greater", method="monte_carlo", n_resamples=49_999, rng=1
        ),
        "scipy draws": by_scipy,
    }
    times = interleaved(works, n_repeats)
    exact = permutation.permutation_tests(a, b, alternative="greater", method="exact")
    apart = permutation.permutation_tests(a[:1] + 1.0, b[:1], alternative="greater", method="exact")
    return {
        "seconds": times,
        "scipy_over": {name: times["scipy draws"]["median"] / times[name]["median"] for name in works},
        "p_values": [test.p_value for test in exact],
        "smallest_p_value": apart[0].p_value,
    }


def wrong_pairs(n_classes: int, n: int) -> dict[str, dict[str, dict[str, int]]]:
    """Pairs whose count differs from direct float64 differences and an exact Prim; ties excused within the range."""
    from tests import oracle

    answer: dict[str, dict[str, dict[str, int]]] = {}
    labels = data.labels(n_classes, n)
    for name, make in data.ACCURACY.items():
        rows = make(n_classes, n)
        ours = hpcore.pairwise_henze_penrose(rows, labels)
        float32 = float32_path(rows, labels)
        reference = oracle.pairwise_cross_edges(rows, labels)
        low, high = np.minimum(ours.cross_edges_min, reference), np.maximum(ours.cross_edges_max, reference)
        found = {"hpcore": np.where(low == high, ours.cross_edges, reference)}
        outside = (reference < ours.cross_edges_min) | (reference > ours.cross_edges_max)
        found["hpcore"] = np.where(outside, ours.cross_edges, found["hpcore"])
        found["hpcore float32"] = np.where(outside, float32.count, np.where(low == high, float32.count, reference))  # type: ignore[attr-defined]  # PairCounts
        for peer_name, peer in peers.installed().items():
            counts = []
            for a, b in ours.pairs[: _PAIRS_OF_SLOW_PEERS if peer_name in peers.SLOW_PEERS else None]:
                chosen = (labels == a) | (labels == b)
                counts.append(peer(np.ascontiguousarray(rows[chosen]), labels[chosen] == a))
            tried = slice(len(counts))
            in_range = (np.array(counts) >= low[tried]) & (np.array(counts) <= high[tried])
            found[peer_name] = np.where(in_range, reference[tried], counts)
        answer[name] = {each: _errors(count, reference[: len(count)]) for each, count in found.items()}
    return answer


def _errors(count: data.Array, reference: data.Array) -> dict[str, int]:
    wrong = count != reference
    return {"wrong": int(wrong.sum()), "largest": int(np.abs(count - reference).max()), "pairs": len(count)}


_PAIRS_OF_SLOW_PEERS = 3
_ALONE = """
import json, resource, sys, time
import numpy as np
import hpcore
from bench import data
kind, d, n_classes, n, budget = json.loads(sys.argv[1])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
tiny = getattr(data, kind)(d, 2, 20)
start = time.perf_counter()
hpcore.pairwise_henze_penrose(tiny, data.labels(2, 20))
first = time.perf_counter() - start
rows, labels = getattr(data, kind)(d, n_classes, n), data.labels(n_classes, n)
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
before = int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1024
start = time.perf_counter()
hpcore.pairwise_henze_penrose(rows, labels, memory_budget=budget)
seconds = time.perf_counter() - start
high = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
print(json.dumps({"first_call": first, "seconds": seconds, "extra_megabytes": high - before}))
"""


def alone(
    kind: str, d: int, n_classes: int, n: int, *, budget: int | None = None, cache: str | None = None
) -> dict[str, float]:
    """First call, seconds and peak memory beyond the input of one job in a fresh process (Linux)."""
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    command = [sys.executable, "-c", _ALONE, json.dumps([kind, d, n_classes, n, budget])]
    answer = subprocess.run(command, check=True, capture_output=True, env=environment, text=True)
    return dict(json.loads(answer.stdout))


def first_calls() -> dict[str, float]:
    """Seconds of the first call with an empty and with a filled cache of compiled kernels."""
    with tempfile.TemporaryDirectory() as cache:
        cold = alone("relu", 64, 2, 20, cache=cache)["first_call"]
        warm = alone("relu", 64, 2, 20, cache=cache)["first_call"]
    return {"cold": cold, "warm": warm}
