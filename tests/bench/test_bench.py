"""The bench measures what it says: peers count like the reference, errors are seen, the page holds the figures."""

from __future__ import annotations

import json
import math
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import __main__ as bench_main
from bench import data, measure, page, peers
from bench.page import write_page
from tests import oracle


@pytest.mark.parametrize("name", peers.installed())
def test_peers_count_like_the_reference(name: str) -> None:
    rows, labels = data.relu(8, 2, 30), data.labels(2, 30)
    assert peers.installed()[name](rows, labels == 0) == oracle.cross_edges(rows, labels)


def test_wrong_counts_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is always off by one is wrong on every pair of every data set; hpcore is not."""

    def off_by_one(rows: data.Array, is_first: data.Array) -> int:
        return oracle.cross_edges(rows, is_first) + 1

    monkeypatch.setattr(peers, "installed", lambda: {"off by one": off_by_one})
    kinds = {name: data.ACCURACY[name] for name in ("relu 64", "relu 64 + 100")}
    monkeypatch.setattr(data, "ACCURACY", kinds)
    for row in measure.wrong_pairs(3, 20).values():
        assert row["hpcore"] == row["hpcore float32"] == {"wrong": 0, "largest": 0, "pairs": 3}
        assert row["off by one"] == {"wrong": 3, "largest": 1, "pairs": 3}


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_works_are_interleaved_and_warm(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_WARM_UP", seconds)
    calls: list[str] = []
    times = measure.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    turns = ["".join(turn) for _, turn in groupby(calls)]
    assert [turn[0] for turn in turns] == ["a", "b"] * 2
    assert all(len(turn) == 2 if seconds == 0 else len(turn) > 2 for turn in turns)
    assert all(each["min"] <= each["median"] <= each["max"] for each in times.values())


@pytest.mark.parametrize(("patience", "pairs"), [(1e9, 6), (0.0, 2)])
def test_all_pairs_are_timed_where_that_is_quick(patience: float, pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(peers, "installed", lambda: {"one": lambda rows, _: calls.append(len(rows))})
    monkeypatch.setattr(measure, "_SECONDS_OF_ALL_PAIRS", patience)
    found = measure.peers_on_pairs(data.relu(4, 4, 5), data.labels(4, 5), 2, slow=False)
    assert found["one"]["pairs"] == pairs
    assert set(calls) == {10}
    assert len(calls) == (2 if pairs == 2 else 2 + 6)


def test_permutation_tests_resolve_what_draws_cannot() -> None:
    found = measure.permutation_tests(1, n_tests=2)
    assert found["smallest_p_value"] == pytest.approx(1 / math.comb(90, 45))
    assert found["scipy_over"]["scipy draws"] == 1.0
    assert all(seconds["median"] > 0 for seconds in found["seconds"].values())


def _wrong(wrong: int, largest: int, pairs: int) -> dict[str, int]:
    return {"wrong": wrong, "largest": largest, "pairs": pairs}


def test_page_keeps_the_text_around_the_tables(tmp_path: Path) -> None:
    seconds = {"median": 0.5, "min": 0.25, "max": 1.0}
    machine: dict[str, Any] = dict.fromkeys(("cpu", "vector_instructions", "python", "numpy", "scipy", "numba"), "x")
    results = {
        "machine": machine | {"date": "2026-01-01", "threads": 2, "load_before": 0.0, "load_after": 0.0},
        "limit": {
            "64": {
                "load": 0.5,
                "seconds": {"ssyrk": seconds, "ours": seconds},
                "ratio_of_medians": {"ours": 1.25},
                "ratio_of_minima": {"ours": 1.125},
            }
        },
        "peers": {"64": {"one": {"seconds_per_pair": 1.0, "pairs": 1}}},
        "alone": {"case": {"seconds": 1.0, "extra_megabytes": 12.0, "seconds_over_25_ssyrk": 0.75}},
        "first_calls": {"cold": 10.0, "warm": 0.5},
        "wrong_pairs": {"data": {"hpcore": _wrong(0, 0, 45), "one": _wrong(3, 7, 45), "slow": _wrong(1, 2, 3)}},
        "permutation": {
            "load": 0.5,
            "seconds": {"exact": seconds, "scipy draws": seconds | {"median": 20.0}},
            "scipy_over": {"exact": 40.0, "scipy draws": 1.0},
            "p_values": [0.5, 1e-26],
            "smallest_p_value": 9.6e-27,
        },
        "scaling": {"points": [(10, 0.001), (100, 0.02)]},
        "jobs": {
            "load": 0.5,
            "figures": [
                {"name": "wait, s", "value": 0.0331, "limit": 0.05, "least": False},
                {"name": "rate", "value": 0.5, "limit": 0.95, "least": True},
            ],
        },
    }
    page = tmp_path / "performance.md"
    (tmp_path / "pictures").mkdir()
    page.write_text("before\n<!-- bench:start -->\nold\n<!-- bench:end -->\nafter\n")
    write_page(results, tmp_path, best="one", reference="one")
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    for figure in (
        "**1.25** [1.12]",
        "1.3 / 1.0",
        "**~90 ×**",
        "| exact | 0.500 [0.250, 1.000] | 40 | 9.6e-27 |",
        "0.75 (floor 1.5",
        "| 0 | 3 (7) | 1 of 3 (2) |",
        "10.0 s with an empty cache",
        "| wait, s | 0.0331 | ≤ 0.05 |  |",
        "| rate | 0.5 | ≥ 0.95 | missed |",
    ):
        assert figure in text
    assert "polyline" in (tmp_path / "pictures" / "performance-1.svg").read_text()


def test_softmax_saturates_with_its_sharpness() -> None:
    assert data.softmax(10, 2, 50, 8.0).max(axis=1).mean() > data.softmax(10, 2, 50).max(axis=1).mean() > 0.1
    assert np.array_equal(data.relu(16, 2, 10), data.relu(16, 2, 10))


def test_the_script_for_a_gpu_runs_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "results.json"
    monkeypatch.setattr("sys.argv", ["bench", "--only", "gpu", "--quick", "--output", str(output)])
    bench_main.main()
    found = json.loads(output.read_text())["gpu"]
    assert set(found["pairs_that_differ"].values()) == {0}
    assert found["job_over_product"] > 0
    assert "| job, bf16 |" in "\n".join(page._gpu(found))
