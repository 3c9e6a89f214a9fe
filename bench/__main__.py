"""``python -m bench [--quick] [--only STEP] [--output FILE]``: all measurements, into one JSON file and one page."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hpcore
from bench import data, measure, peers
from bench.page import write_page
from hpcore.spanning_tree import resolve_device
from hpcore.threads import available_threads

HERE = Path(__file__).parent


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    flags = ""
    if info.exists():
        text = info.read_text()
        cpu = re.findall(r"model name\s*:\s*(.*)", text)[0]
        flags = " ".join(flag for flag in ("avx2", "avx512bw", "avx512_vnni", "amx_int8") if f" {flag}" in text)
    return {
        "cpu": cpu,
        "vector_instructions": flags,
        "threads": available_threads(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scipy", "numba")},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def run(*, quick: bool, save: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Measure everything; `quick` takes fewer repeats and leaves out the large cases. Each step is saved."""
    results: dict[str, Any] = {"machine": machine(), "limit": {}, "peers": {}, "alone": {}}
    for name, step in STEPS.items():
        if step is gpu and resolve_device("auto") == "cpu":
            continue
        print(name.replace("_", " "), flush=True)
        step(results, quick)
        results["machine"]["load_after"] = os.getloadavg()[0]
        save(results)
    return results


CASES: dict[str, Callable[[], data.Array]] = {
    "10": lambda: data.softmax(10, 10, 1000),
    "64": lambda: data.relu(64, 10, 1000),
    "512": lambda: data.relu(512, 10, 1000),
    "512-isotropic": lambda: data.isotropic(512, 10, 1000),
    "3072": lambda: data.relu(3072, 10, 1000),
    "8192": lambda: data.relu(8192, 10, 1000),
}
# a clock may change by half for tenths of a second at a time, so what is short is repeated more often
_REPEATS = {"10": 41, "64": 41, "512": 15, "512-isotropic": 15, "3072": 5, "8192": 3}


def limit(name: str, results: dict[str, Any], quick: bool) -> None:
    """The whole job of one case against SSYRK, and other tools on single pairs."""
    if quick and name == "8192":
        return
    rows, labels = CASES[name](), data.labels(10, 1000)
    load = os.getloadavg()[0]
    n_repeats = 3 if quick else _REPEATS[name]
    results["limit"][name] = measure.against_ssyrk(rows, labels, n_repeats) | {"load": load}
    if name in ("10", "512", "3072"):
        n_pairs = 1 if quick or name == "3072" else 3
        results["peers"][name] = measure.peers_on_pairs(rows, labels, n_pairs, slow=name == "10" and not quick)


def alone(results: dict[str, Any], quick: bool) -> None:
    """Memory and large cases, each in a process of its own."""
    cases = [("softmax", 10, 10, 1000), ("relu", 512, 10, 1000), ("relu", 3072, 10, 1000)]
    if not quick:
        cases += [("relu", 64, 10, 10_000), ("relu", 512, 1000, 50)]
    for kind, d, n_classes, n in cases:
        results["alone"][f"{n_classes} x {n}, d = {d}"] = measure.alone(kind, d, n_classes, n)
    if not quick:
        tile = results["limit"]["512"]["seconds"]["ssyrk"]["median"]
        many = results["alone"]["1000 x 50, d = 512"]
        many["seconds_over_25_ssyrk"] = many["seconds"] / (25 * tile)


def scaling(results: dict[str, Any], quick: bool) -> None:
    """Seconds as points per class, features and classes grow."""

    def curve(cases: Iterable[tuple[int, int, int]], axis: int) -> list[tuple[int, float]]:
        points = []
        for case in cases:
            d, n_classes, n = case
            rows, labels = data.relu(d, n_classes, n), data.labels(n_classes, n)
            work = partial(hpcore.pairwise_henze_penrose, rows, labels)
            seconds = measure.interleaved({"ours": work}, 1 if quick else 3)["ours"]["median"]
            points.append((case[axis], seconds))
        return points

    top = 1000 if quick else 4000
    results["scaling"] = {
        "points per class (10 classes, d = 64)": curve([(64, 10, n) for n in (125, 250, 500, 1000, 2000, top)], 2),
        "features (10 classes of 500)": curve([(d, 10, 500) for d in (4, 16, 64, 256, top)], 0),
        "classes (of 50 points, d = 64)": curve([(64, k, 50) for k in (10, 30, 100, top // 10)], 1),
    }


def first_calls(results: dict[str, Any], _quick: bool) -> None:
    """With an empty and a filled cache of machine code."""
    results["first_calls"] = measure.first_calls()


def wrong_pairs(results: dict[str, Any], quick: bool) -> None:
    """Every tool on data that are hard to get right."""
    results["wrong_pairs"] = measure.wrong_pairs(4 if quick else 10, 100 if quick else 300)


def permutation(results: dict[str, Any], quick: bool) -> None:
    """The exact tests beside draws, of scipy and our own."""
    results["permutation"] = measure.permutation_tests(1 if quick else 5) | {"load": os.getloadavg()[0]}


def jobs(results: dict[str, Any], quick: bool) -> None:
    """What the service and its workers add to a computation."""
    from bench import jobs as module

    results["jobs"] = {"figures": module.figures(quick), "load": os.getloadavg()[0]}


def service(results: dict[str, Any], quick: bool) -> None:
    """What the service costs beside a bare one on the same server."""
    from bench import service as module

    results["service"] = {"figures": module.figures(quick), "load": os.getloadavg()[0]}


def gpu(results: dict[str, Any], quick: bool) -> None:
    """One layer on a CUDA device and on the CPU; without a device the same script on CPU tensors, small."""
    from bench import gpu as module

    results["gpu"] = module.figures(quick)


def costs(results: dict[str, Any], quick: bool) -> None:
    """What the units of an analysis cost; a whole measurement becomes the constants of the cost model."""
    from bench import costs as module

    found = module.processor_costs(quick)
    results["costs"] = {"cases": found["cases"], "load": os.getloadavg()[0]}
    if not quick:
        module.write_constants(found["seconds"])


def estimates(results: dict[str, Any], quick: bool) -> None:
    """Estimates of whole analyses against what they take."""
    from bench import estimates as module

    figures = module.figures(module.TRIALS[:4] if quick else module.TRIALS)
    results["estimates"] = {"figures": figures, "load": os.getloadavg()[0]}
    if not quick:
        module.write_page(figures, HERE.parent / "docs" / "estimates.md")


STEPS: dict[str, Callable[[dict[str, Any], bool], None]] = {
    **{f"limit-{name}": partial(limit, name) for name in CASES},
    **{
        step.__name__: step
        for step in (alone, scaling, first_calls, wrong_pairs, permutation, jobs, service, gpu, costs, estimates)
    },
}


def main() -> None:
    """Measure, write ``bench/results/<machine>.json`` and ``docs/performance.md``."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, no large cases; writes only the JSON file")
    parser.add_argument("--output", type=Path, help="JSON file (default: bench/results/<machine>.json)")
    parser.add_argument("--only", choices=STEPS, help="measure one step anew and keep the others' results")
    options = parser.parse_args()
    own = machine()
    name = re.sub(r"[^a-z0-9]+", "-", f"{own['cpu']} {own['threads']} threads".lower()).strip("-")
    output = options.output or HERE / "results" / f"{name}.json"
    output.parent.mkdir(exist_ok=True)

    def save(results: dict[str, Any]) -> None:
        output.write_text(json.dumps(results, indent=1) + "\n")

    if options.only:
        results = json.loads(output.read_text()) if output.exists() else {"machine": own}
        STEPS[options.only](results, options.quick)
        results["machine"] = own | {"load_after": os.getloadavg()[0]}
        save(results)
    else:
        results = run(quick=options.quick, save=save)
    print(f"wrote {output}")
    if not options.quick and "limit" in results:
        write_page(results, HERE.parent / "docs", best=peers.BEST_PEER, reference=peers.REFERENCE_PEER)


if __name__ == "__main__":
    main()
