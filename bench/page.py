"""The results as a page with tables, and curves as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_FLOORS = {  # time ÷ SSYRK: floor and aim for the 16-bit (or direct) path, floor for the float32 path
    "10": (1.4, 0.9, None),
    "64": (1.3, 1.0, None),
    "512": (0.95, 0.75, 1.25),
    "512-isotropic": (0.95, 0.75, 1.25),
    "3072": (0.90, 0.65, 1.10),
    "8192": (0.90, 0.65, 1.10),
}
_START, _END = "<!-- bench:start -->", "<!-- bench:end -->"


def write_page(results: dict[str, Any], docs: Path, *, best: str, reference: str) -> None:
    """Replace the measured part of ``docs/performance.md``, and its pictures in ``docs/pictures``."""
    page = docs / "performance.md"
    text = page.read_text() if page.exists() else f"# Performance\n\n{_START}\n{_END}\n"
    before, after = text.split(_START)[0], text.split(_END)[1]
    page.write_text(f"{before}{_START}\n{_tables(results, best, reference)}\n{_END}{after}")
    for index, (title, points) in enumerate(results["scaling"].items(), start=1):
        (docs / "pictures" / f"performance-{index}.svg").write_text(_curve(title, points))


def _tables(results: dict[str, Any], best: str, reference: str) -> str:
    machine = results["machine"]
    lines = [
        (
            f"Measured on {machine['date']}: {machine['cpu']} ({machine['vector_instructions']}), "
            f"{machine['threads']} threads, load {machine['load_before']:.1f} before and {machine['load_after']:.1f} "
            f"after; Python {machine['python']}, numpy {machine['numpy']}, scipy {machine['scipy']}, "
            f"numba {machine['numba']}."
        ),
        "",
        "## Time ÷ SSYRK of the same matrix (10 × 1000 points, 45 pairs, medians; [ratio of minima])",
        "",
        "| d | load | SSYRK, s | ours, s [min, max] | ours ÷ SSYRK | floor / aim | float32 ÷ SSYRK | floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, case in results["limit"].items():
        floor, aim, floor32 = _FLOORS[name]
        ours, ssyrk = case["seconds"]["ours"], case["seconds"]["ssyrk"]
        ratio, least = case["ratio_of_medians"], case["ratio_of_minima"]
        float32 = f"{ratio['ours_float32']:.2f} [{least['ours_float32']:.2f}]" if "ours_float32" in ratio else "–"
        lines.append(
            f"| {name} | {case['load']:.1f} | {ssyrk['median']:.3f} "
            f"| {ours['median']:.3f} [{ours['min']:.3f}, {ours['max']:.3f}] "
            f"| **{ratio['ours']:.2f}** [{least['ours']:.2f}] | {floor} / {aim} | {float32} | {floor32 or '–'} |"
        )
    lines += [
        "",
        "## Other tools: seconds per pair of 2000 points, times 45 ÷ ours on all 45",
        "",
        "Without a mark the mean over all 45 pairs; ~ extrapolates from one pair or three (median).",
        "",
    ]
    names = list(dict.fromkeys(name for case in results["peers"].values() for name in case))
    lines += ["| d | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for d, case in results["peers"].items():
        ours = results["limit"][d]["seconds"]["ours"]["median"]
        cells = []
        for name in names:
            if name not in case:
                cells.append("–")
                continue
            seconds = case[name]["seconds_per_pair"]
            mark = "**" if name in (best, reference) else ""
            about = "" if case[name]["pairs"] == 45 else "~"
            cells.append(f"{seconds:.3g} s: {mark}{about}{45 * seconds / ours:.0f} ×{mark}")
        lines.append(f"| {d} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Memory beyond the input, and large cases (a process each)",
        "",
        "| case | s | MB |",
        "|---|---|---|",
    ]
    for name, case in results["alone"].items():
        lines.append(f"| {name} | {case['seconds']:.2f} | {case['extra_megabytes']:.0f} |")
        if "seconds_over_25_ssyrk" in case:
            ratio = f"{case['seconds_over_25_ssyrk']:.2f}"
            lines.append(
                f"| – the same ÷ (25 × SSYRK of 10,000 x 512, the same work): {ratio} (floor 1.5, aim 1.0) | | |"
            )
    first = results["first_calls"]
    lines += [
        "",
        f"First call: {first['cold']:.1f} s with an empty cache, {first['warm']:.2f} s with a filled one.",
        "",
    ]
    lines += ["## Wrong pairs (largest error) against direct differences in float64", ""]
    columns = list(next(iter(results["wrong_pairs"].values())))
    lines += ["| data | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in results["wrong_pairs"].items():
        most = max(cell["pairs"] for cell in row.values())
        cells = [_wrong(row[c], most) for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if "permutation" in results:
        lines += ["", *_permutation(results["permutation"])]
    if "gpu" in results:
        lines += ["", *_gpu(results["gpu"])]
    if "jobs" in results:
        lines += ["", *_figures("What surrounds a computation", results["jobs"])]
    if "service" in results:
        lines += ["", *_figures("What the service costs", results["service"])]
    lines += ["", "## Scaling", ""]
    lines += [f"![{title}](pictures/performance-{i}.svg)" for i, title in enumerate(results["scaling"], start=1)]
    return "\n".join(lines)


def _wrong(cell: dict[str, int], most: int) -> str:
    """Wrong pairs, the largest error, and how many pairs were tried where these were not all."""
    largest = f" ({cell['largest']})" if cell["wrong"] else ""
    return f"{cell['wrong']}{'' if cell['pairs'] == most else ' of ' + str(cell['pairs'])}{largest}"


def _permutation(measured: dict[str, Any]) -> list[str]:
    """Exact tests beside draws."""
    lines = [
        f"## {len(measured['p_values'])} permutation tests of 45 values against 45 (load {measured['load']:.1f})",
        "",
        "| method | s [min, max] | scipy ÷ this | smallest p |",
        "|---|---|---|---|",
    ]
    smallest = {"exact": f"{measured['smallest_p_value']:.2g}"}
    for name, seconds in measured["seconds"].items():
        lines.append(
            f"| {name} | {seconds['median']:.3f} [{seconds['min']:.3f}, {seconds['max']:.3f}] "
            f"| {measured['scipy_over'][name]:.0f} | {smallest.get(name, '2e-05')} |"
        )
    return [*lines, "", "Floor: exact tests 15 times faster than 50,000 draws of scipy."]


def _gpu(measured: dict[str, Any]) -> list[str]:
    """A job on a device beside the bare products there and the CPU."""
    rows, d = measured["shape"]
    lines = [
        f"## One layer of {rows} x {d} on a device ({measured['device']}) and on {measured['threads']} CPU threads",
        "",
        "| work | s [min, max] | wrong pairs |",
        "|---|---|---|",
    ]
    for name, seconds in measured["seconds"].items():
        wrong = measured["pairs_that_differ"].get(name, "–")
        lines.append(f"| {name} | {seconds['median']:.4f} [{seconds['min']:.4f}, {seconds['max']:.4f}] | {wrong} |")
    peak = measured["peak_device_megabytes"]
    lines.append("")
    lines.append(
        f"Job ÷ TF32 product: {measured['job_over_product']:.2f}; CPU ÷ job: {measured['cpu_over_job']:.1f}; "
        f"peak memory of the device: {'–' if peak is None else f'{peak:.0f} MB'}."
    )
    return lines


def _figures(title: str, measured: dict[str, Any]) -> list[str]:
    """A table of figures, each against its limit."""
    lines = [f"## {title} (load {measured['load']:.1f})", "", "| | measured | limit | |", "|---|---|---|---|"]
    for figure in measured["figures"]:
        kept = figure["value"] >= figure["limit"] if figure["least"] else figure["value"] <= figure["limit"]
        sign = "≥" if figure["least"] else "≤"
        lines.append(
            f"| {figure['name']} | {figure['value']:.3g} | {sign} {figure['limit']:g} | {'' if kept else 'missed'} |"
        )
    return lines


def _curve(title: str, points: Sequence[Sequence[float]]) -> str:
    """A line on two logarithmic axes."""
    width, height, margin = 420, 280, 48
    logs = [(math.log10(x), math.log10(y)) for x, y in points]
    left, right = min(x for x, _ in logs), max(x for x, _ in logs)
    low, high = math.floor(min(y for _, y in logs)), math.ceil(max(y for _, y in logs))

    def place(x: float, y: float) -> tuple[float, float]:
        across = margin + (x - left) / (right - left) * (width - 2 * margin)
        return across, height - margin - (y - low) / max(1, high - low) * (height - 2 * margin)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{width / 2}" y="22" text-anchor="middle" font-size="13">seconds by {title}</text>',
    ]
    for power in range(low, high + 1):
        x, y = place(left, power)
        parts.append(f'<line x1="{x}" y1="{y:.1f}" x2="{width - margin}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    spots = [place(x, y) for x, y in logs]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    parts.append(f'<polyline points="{path}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
    for (x, y), (value, _) in zip(spots, points, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5fa8"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - margin + 18}" text-anchor="middle">{value:g}</text>')
    return "\n".join([*parts, "</svg>", ""])
