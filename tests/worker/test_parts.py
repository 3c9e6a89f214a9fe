"""However an analysis is divided, whoever computes its parts, in whatever order: the report has the same bytes."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Jobs, NewJob
from contract.schemas import AnalysisRequest
from contract.settings import Settings
from contract.tables import jobs
from contract.unfinished import Unfinished
from tests.worker import files
from tests.worker.jobs import next_claim, runner_of, work_off
from worker.analysis import analyze, assembled, open_study, performed
from worker.measuring import Resources, Study
from worker.plan import Part, fingerprint, plan
from worker.results import DamagedResult, packed, unpacked
from worker.tasks import Result, Task

STATES = (("trained", "train"), ("trained", "validation"), ("untrained", "train"))
OPTIONS: dict[str, Any] = {
    "sampling": {"per_class": 40, "repeats": 3, "trend": True},
    "tests": {"n_resamples": 99, "membership": "score", "shift": True},
}


class Case:
    """A study of three inputs in files, and its report."""

    def __init__(self, folder: Path, **options: Any) -> None:
        ids = [f"{number:064x}" for number in range(len(STATES))]
        self.paths = {
            f"sha256:{sha256}": files.write_npz(
                folder / f"{number}.npz", files.study_arrays(seed=number, n_per_class=45 + number, n_classes=3)
            )
            for number, sha256 in enumerate(ids)
        }
        inputs = [
            {"artifact": name, "state": state, "split": split}
            for name, (state, split) in zip(self.paths, STATES, strict=True)
        ]
        self.request = AnalysisRequest.model_validate({"inputs": inputs, **OPTIONS, **options})
        self.report = analyze(self.request, self.paths)[0].to_bytes()

    def study(self) -> Study:
        return open_study(self.request, self.paths, Resources(n_threads=1))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("study"))


def computed_in(case: Case, parts: list[Part], order: random.Random) -> bytes:
    """Compute parts as workers do, each from files alone, in a random order that the needs allow."""
    stored: dict[int, bytes] = {}
    left = set(range(len(parts) - 1))
    while left:
        number = order.choice(sorted(n for n in left if set(parts[n].needs) <= set(stored)))
        left.remove(number)
        study, known = case.study(), read([stored[each] for each in parts[number].needs])
        stored[number] = packed({task: performed(task, study, known) for task in parts[number].tasks})
    return assembled(case.study(), read([stored[each] for each in parts[-1].needs]))[0].to_bytes()


def read(contents: list[bytes]) -> dict[Task, Result]:
    import hashlib

    found: dict[Task, Result] = {}
    for content in contents:
        found |= unpacked(content, hashlib.sha256(content).hexdigest())
    return found


def cost_of_all(case: Case) -> float:
    return sum(part.cost for part in plan(case.study(), 1e-9)[:-1])


@pytest.mark.parametrize(("share", "seed"), [(1e-9, 1), (0.01, 2), (0.04, 3), (0.04, 4), (0.15, 5)])
def test_any_division_in_any_order_gives_the_same_bytes(case: Case, share: float, seed: int) -> None:
    parts = plan(case.study(), share * cost_of_all(case))
    assert computed_in(case, parts, random.Random(seed)) == case.report


def test_the_finest_division_has_every_kind_of_task(case: Case) -> None:
    parts = plan(case.study(), 1e-9)
    kinds = [part.tasks[0].kind for part in parts[:-1]]
    assert set(kinds) == {"trees", "pairs", "folds", "trend", "draws", "joined", "splits"}
    layers = 9
    assert kinds.count("pairs") == layers * 3
    assert kinds.count("folds") == layers * 20
    assert kinds.count("draws") == 2 * layers
    assert kinds.count("splits") == 3


@given(share=st.floats(0.003, 0.2))
@hypothesis_settings(max_examples=15, deadline=None)
def test_a_plan_does_everything_once_and_needs_only_what_comes_before(case: Case, share: float) -> None:
    whole = cost_of_all(case)
    parts = plan(case.study(), share * whole)
    assert all(need < number for number, part in enumerate(parts) for need in part.needs)
    tasks = [task for part in parts for task in part.tasks]
    assert len(set(tasks)) == len(tasks)
    layers = {(task.item, task.layer) for task in tasks if task.kind in ("layer", "joined")}
    assert len(layers) == 9
    for kind, total in (("pairs", 3), ("folds", 20)):
        for layer in {(t.item, t.layer) for t in tasks if t.kind == kind}:
            covered = sorted((t.first, t.stop) for t in tasks if t.kind == kind and (t.item, t.layer) == layer)
            assert [first for first, _ in covered] == [0, *(stop for _, stop in covered[:-1])]
            assert covered[-1][1] == total
    single = ("splits", "trees", "joined", "trend", "pairs", "folds", "draws")  # one of these may be large by itself
    assert all(part.cost <= 1.6 * share * whole or part.tasks[0].kind in single for part in parts[:-1])


def test_a_small_analysis_stays_whole(case: Case) -> None:
    assert plan(case.study(), cost_of_all(case)) == []


def test_results_keep_every_bit(case: Case) -> None:
    study = case.study()
    for task in (
        Task("layer", 0, study.layers[0]),
        Task("splits", 0, study.layers[1]),
        Task("trees", 1, study.layers[0]),
    ):
        result = performed(task, study, {})
        content = packed({task: result})
        assert read([content]).keys() == {task}
        assert packed(read([content])) == content
    with pytest.raises(DamagedResult):
        unpacked(content[:-1] + b"x", __import__("hashlib").sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"tags": {"a": "b"}, "priority": 3}, True),
        ({"seed": 1}, False),
        ({"metric": "cosine"}, False),
        ({"sampling": {"per_class": 39, "repeats": 3, "trend": True}}, False),
    ],
)
def test_a_fingerprint_is_that_of_what_decides_the_result(case: Case, change: dict[str, Any], same: bool) -> None:
    request = AnalysisRequest.model_validate(case.request.model_dump() | change)
    other = open_study(request, case.paths, Resources(n_threads=2))
    mine, others = ([fingerprint(part, s) for part in plan(s, 1e-9)[:-1]] for s in (case.study(), other))
    assert (mine == others) == same
    assert len(set(mine)) == len(mine)
    if not same:
        assert not set(mine) & set(others)


def test_results_of_an_analysis_of_the_same_files_in_other_roles_are_others(case: Case) -> None:
    """A result names its input by number: taken over by an analysis with another order, it would be of another file."""
    inputs = case.request.inputs
    swapped = [
        first.model_copy(update={"artifact": second.artifact})
        for first, second in ((inputs[0], inputs[1]), (inputs[1], inputs[0]))
    ]
    for changed in ([inputs[1], inputs[0], *inputs[2:]], [*swapped, *inputs[2:]]):
        other = open_study(case.request.model_copy(update={"inputs": changed}), case.paths, Resources(n_threads=1))
        mine, others = ({fingerprint(part, s) for part in plan(s, 1e-9)} for s in (case.study(), other))
        assert not mine & others


# -- with workers and a database --------------------------------------------------------------------------------------

SHAS = [f"{number:064x}" for number in range(1, 3)]


def submitted(settings: Settings, database: Database, arrays: list[dict[str, Any]], **options: Any) -> str:
    blobs = Blobs(settings.data_dir)
    for sha256, each in zip(SHAS, arrays, strict=False):
        path = settings.data_dir / blobs.artifact("a", sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files.archive({f"{name}.npy": files.npy(array) for name, array in each.items()}))
    inputs = [
        {"artifact": f"sha256:{sha256}", "split": split}
        for sha256, split, _ in zip(SHAS, ("train", "validation"), arrays, strict=False)
    ]
    request = AnalysisRequest.model_validate({"inputs": inputs, "tests": {"n_resamples": 99}, **options})
    job = NewJob("a", "analysis", request.model_dump(mode="json"), "cpu", "f", inputs=SHAS)
    return Jobs(database).submit(job, max_unfinished=10)[0].id


def report_of(settings: Settings, database: Database, job: str) -> bytes:
    sha256 = Jobs(database).report_sha256("a", job)
    assert sha256 is not None
    return (settings.data_dir / Blobs(settings.data_dir).report(sha256)).read_bytes()


def both_splits() -> list[dict[str, Any]]:
    return [files.study_arrays(seed=seed, n_per_class=40) for seed in (1, 2)]


@pytest.fixture
def small_parts(settings: Settings) -> Settings:
    return settings.model_copy(update={"part_seconds": 4e-3})


def test_workers_compute_in_parts_what_one_computes_at_once(
    settings: Settings, small_parts: Settings, database: Database
) -> None:
    whole, split = (submitted(settings, database, both_splits()) for _ in range(2))
    with runner_of(settings, database) as runner:
        claim = next_claim(settings, database)
        assert claim is not None
        assert claim.id == whole
        runner.run(claim)
    ran = work_off(small_parts, database)
    analysis = Jobs(database).get("a", split)
    assert analysis is not None
    assert (analysis.status, analysis.execution.device, analysis.execution.parts) == ("succeeded", "cpu", ran - 1)
    assert analysis.execution.parts > 10
    assert report_of(settings, database, split) == report_of(settings, database, whole)
    assert list((settings.data_dir / "tmp").iterdir()) == []


def test_layers_are_seen_as_parts_finish_in_the_order_of_the_report(small_parts: Settings, database: Database) -> None:
    job = submitted(small_parts, database, both_splits())
    seen: list[list[str]] = []
    with runner_of(small_parts, database) as runner:
        while (claim := next_claim(small_parts, database)) is not None:
            runner.run(claim)
            seen.append([f"{each.split} {each.layer}" for each in Unfinished(database).layers("a", job)])
    names = [f"{split} {layer}" for split in ("train", "validation") for layer in ("0.Input", "1.Conv", "2.Softmax")]
    assert seen[-2] == names
    assert all(now == [name for name in names if name in set(now)] for now in seen)
    assert [len(now) for now in seen[:-1]] == sorted(len(now) for now in seen[:-1])
    assert len({len(now) for now in seen}) == 7


def test_a_layer_that_is_wrong_fails_the_analysis_and_says_which(small_parts: Settings, database: Database) -> None:
    arrays = both_splits()
    arrays[1]["1.Conv"][3, 0] = np.nan
    job = submitted(small_parts, database, arrays)
    work_off(small_parts, database)
    analysis = Jobs(database).get("a", job)
    assert analysis is not None
    assert analysis.error is not None
    assert (analysis.status, analysis.error.code) == ("failed", "non_finite")
    assert "'1.Conv' of instance '0' (trained, validation)" in analysis.error.detail


def test_trying_again_computes_only_what_is_missing(small_parts: Settings, database: Database) -> None:
    first = submitted(small_parts, database, both_splits())
    with runner_of(small_parts, database) as runner:
        for _ in range(8):
            claim = next_claim(small_parts, database)
            assert claim is not None
            runner.run(claim)
    Jobs(database).request_cancel("a", first)
    with database.read() as connection:
        kept = (
            connection.execute(select(jobs.c.number).where(jobs.c.parent == first, jobs.c.state == "succeeded"))
            .scalars()
            .all()
        )
    assert len(kept) == 7
    again = submitted(small_parts, database, both_splits())
    ran = work_off(small_parts, database)
    analysis = Jobs(database).get("a", again)
    assert analysis is not None
    assert analysis.status == "succeeded"
    everything = submitted(small_parts, database, both_splits(), tags={"other": "job"})
    with database.write() as connection:  # nothing is known of the parts that have been
        connection.execute(update(jobs).where(jobs.c.kind == "part").values(fingerprint="x"))
    assert work_off(small_parts, database) > ran + 4
    assert report_of(small_parts, database, everything) == report_of(small_parts, database, again)


def test_a_result_that_is_gone_fails_the_analysis(small_parts: Settings, database: Database) -> None:
    job = submitted(small_parts, database, both_splits())
    with runner_of(small_parts, database) as runner:
        for _ in range(4):
            claim = next_claim(small_parts, database)
            assert claim is not None
            runner.run(claim)
    for path in (small_parts.data_dir / "parts").rglob("*.npz"):
        path.write_bytes(b"other bytes")
    work_off(small_parts, database)
    analysis = Jobs(database).get("a", job)
    assert analysis is not None
    assert analysis.error is not None
    assert (analysis.status, analysis.error.code) == ("failed", "internal_error")
    damaged = list((small_parts.data_dir / "parts").rglob("*.npz"))
    assert len(damaged) > 1
    damaged[0].unlink()
    again = submitted(small_parts, database, both_splits())
    work_off(small_parts, database)
    analysis = Jobs(database).get("a", again)
    assert analysis is not None
    assert analysis.status == "succeeded", "what is not there, or not whole, is computed anew"
