"""``python -m bench [--quick] [--output FILE]``: all measurements in one run, into one JSON file and one page."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hpcore
from bench import data, measure, peers
from bench.page import write_page
from hpcore.spanning_tree import available_threads

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


def run(*, quick: bool) -> dict[str, Any]:
    """Measure everything; `quick` takes fewer repeats and leaves out the large cases."""
    results: dict[str, Any] = {"machine": machine(), "limit": {}, "peers": {}, "alone": {}}
    labels = data.labels(10, 1000)
    cases = {"10": data.softmax(10, 10, 1000), "64": data.relu(64, 10, 1000), "512": data.relu(512, 10, 1000)}
    cases["512 isotropic"] = data.isotropic(512, 10, 1000)
    for name in (*cases, "3072") if quick else (*cases, "3072", "8192"):
        rows = cases[name] if name in cases else data.relu(int(name), 10, 1000)
        n_repeats = 3 if quick or rows.shape[1] > 512 else 9
        print(f"d = {name}: against SSYRK", flush=True)
        results["limit"][name] = measure.against_ssyrk(rows, labels, n_repeats)
        if name in ("10", "512", "3072"):
            print(f"d = {name}: peers", flush=True)
            n_pairs = 1 if quick or name == "3072" else 3
            results["peers"][name] = measure.peers_on_pairs(rows, labels, n_pairs, slow=name == "512" and not quick)
    for kind, d in (("softmax", 10), ("relu", 512), ("relu", 3072)):
        print(f"d = {d}: memory", flush=True)
        results["alone"][f"10 x 1000, d = {d}"] = measure.alone(kind, d, 10, 1000)
    if not quick:
        print("large cases", flush=True)
        results["alone"]["10 x 10000, d = 64"] = measure.alone("relu", 64, 10, 10_000)
        results["alone"]["1000 x 50, d = 512"] = measure.alone("relu", 512, 1000, 50)
        large = measure.against_ssyrk(data.relu(512, 1000, 50), data.labels(1000, 50), 1)
        results["limit"]["1000 x 50, d = 512"] = large
    print("scaling", flush=True)
    results["scaling"] = scaling(quick=quick)
    print("first calls", flush=True)
    results["first_calls"] = measure.first_calls()
    print("wrong pairs", flush=True)
    results["wrong_pairs"] = measure.wrong_pairs(4 if quick else 10, 100 if quick else 300)
    results["machine"]["load_after"] = os.getloadavg()[0]
    return results


def scaling(*, quick: bool) -> dict[str, list[tuple[int, float]]]:
    """Seconds as points per class, features and classes grow."""
    repeats = 1 if quick else 3

    def seconds(d: int, n_classes: int, n: int) -> float:
        rows, labels = data.relu(d, n_classes, n), data.labels(n_classes, n)
        work = {"ours": lambda: hpcore.pairwise_henze_penrose(rows, labels)}
        return measure.interleaved(work, repeats)["ours"]["median"]

    top = 1000 if quick else 4000
    return {
        "points per class (10 classes, d = 64)": [
            (n, seconds(64, 10, n)) for n in (125, 250, 500, 1000, 2000, 4000) if n <= top
        ],
        "features (10 classes of 500)": [(d, seconds(d, 10, 500)) for d in (4, 16, 64, 256, 1024, 4096) if d <= top],
        "classes (of 50 points, d = 64)": [(k, seconds(64, k, 50)) for k in (10, 30, 100, 300) if k <= top // 10],
    }


def main() -> None:
    """Measure, write ``bench/results/<machine>.json`` and ``docs/performance.md``."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, no large cases; writes only the JSON file")
    parser.add_argument("--output", type=Path, help="JSON file (default: bench/results/<machine>.json)")
    options = parser.parse_args()
    results = run(quick=options.quick)
    name = re.sub(r"[^a-z0-9]+", "-", f"{results['machine']['cpu']} {results['machine']['threads']} threads".lower())
    output = options.output or HERE / "results" / f"{name.strip('-')}.json"
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"wrote {output}")
    if not options.quick:
        write_page(results, HERE.parent / "docs", best=peers.BEST_PEER, reference=peers.REFERENCE_PEER)


if __name__ == "__main__":
    main()
