"""The simulated cluster against what can be worked out by hand."""

import math
from dataclasses import replace

import pytest

from simulation.chart import curves
from simulation.cluster import Cluster, simulate

FREE = Cluster(1, claim=0.0, write=0.0, end=0.0, read=0.0)
PARTS = [2.0] * 60


@pytest.mark.parametrize("workers", [1, 2, 3, 60])
def test_without_costs_the_work_is_shared_evenly(workers: int) -> None:
    found = simulate(replace(FREE, workers=workers), PARTS, after=1.0)
    assert found.makespan == pytest.approx(2.0 * math.ceil(60 / workers) + 1.0, abs=0.06)
    assert found.lost == 0


def test_what_is_around_a_part_adds_up() -> None:
    costly = replace(FREE, claim=0.1, end=0.2, overhead=0.3)
    assert simulate(costly, PARTS).makespan == pytest.approx(60 * (2.0 + 0.1 + 0.2 + 0.3), abs=0.06)


def test_a_database_that_claims_ten_parts_a_second_ends_no_more() -> None:
    found = simulate(replace(FREE, workers=1000, claim=0.1, lease=1000.0), [2.0] * 500)
    assert found.makespan == pytest.approx(500 * 0.1 + 2.0, rel=0.02)
    assert found.database_busy > 0.9


def test_heartbeats_that_write_fill_a_database_that_heartbeats_that_look_do_not() -> None:
    cluster = replace(FREE, workers=200, write=0.005, read=0.0002)
    parts = [20.0] * 400
    looking, writing = simulate(cluster, parts), simulate(replace(cluster, beats_write=True), parts)
    assert looking.database_busy < 0.2
    assert looking.makespan == pytest.approx(40.0, abs=0.5)
    assert writing.database_busy > 0.9


def test_a_store_serves_one_after_the_other() -> None:
    found = simulate(replace(FREE, workers=60, part_bytes=1e9, store_bytes_per_second=1e9), PARTS)
    assert found.makespan == pytest.approx(60 + 2.0, rel=0.02)
    assert found.store_busy > 0.9


def test_a_slow_worker_holds_up_the_end() -> None:
    assert simulate(replace(FREE, workers=60, slow_share=1.0, slowness=3.0), PARTS).makespan == pytest.approx(
        6, abs=0.1
    )


def test_parts_of_killed_workers_are_done_again_after_their_lease() -> None:
    cluster = replace(FREE, workers=4, worker_mtbf=20.0, lease=3.0, restart=1.0)
    found = simulate(cluster, PARTS)
    assert found.lost > 0
    assert found.makespan > simulate(replace(cluster, worker_mtbf=math.inf), PARTS).makespan


def test_a_database_that_is_too_slow_for_the_leases_loses_parts() -> None:
    cluster = replace(FREE, workers=200, write=0.1, beats_write=True, lease=5.0)
    parts = [10.0] * 20
    assert simulate(replace(cluster, workers=2), parts).lost == 0
    assert simulate(replace(cluster, workers=20, write=0.5, horizon=200.0), parts).lost > 0


def test_the_same_seed_gives_the_same_run() -> None:
    cluster = replace(FREE, workers=7, spread=0.3, worker_mtbf=30.0, claim=0.01)
    one, same, other = (simulate(replace(cluster, seed=seed), PARTS) for seed in (1, 1, 2))
    assert one == same != other


def test_a_chart_has_every_line() -> None:
    drawn = curves("A title & more", {"<first>": [(1, 1), (1000, 900)], "second": [(1, 1), (1000, 12)]})
    assert drawn.count("<polyline") == 2
    assert "&lt;first&gt;" in drawn
    assert "A title &amp; more" in drawn
