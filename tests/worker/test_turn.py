"""An attempt that is kept while something else takes long, and left when nobody waits for it any more."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from contract.jobs import Claim
from contract.schemas import Progress
from contract.settings import Settings
from worker.patience import GivenUp, Patience
from worker.turn import Left, Turn

CLAIM = Claim("an_1", "tenant", "analysis", {"seed": 1}, attempt=1, losses=0)
AWAY = OperationalError("select", {}, Exception("away"))


class Scripted:
    """Answers heartbeats from a list, the last for ever, and keeps what it was told."""

    def __init__(self, answers: Sequence[str | Exception]) -> None:
        self._answers = list(answers)
        self.told: list[Progress | None] = []
        self.asked = threading.Event()

    def heartbeat(self, _claim: Claim, _lease_seconds: float, progress: Progress | None) -> str:
        self.told.append(progress)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not self._answers[1:]:
            self.asked.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


def turn(jobs: Any, folder: Path, *, stopping: bool = False, deadline: float = 1000.0) -> Turn:
    settings = Settings(data_dir=folder, lease_seconds=0.03, deadline_seconds=deadline)
    return Turn(CLAIM, settings, jobs, lambda: stopping, None)


def test_what_takes_long_is_done_and_the_lease_renewed_meanwhile(tmp_path: Path) -> None:
    jobs = Scripted(["held", AWAY, "held"])  # a database that is away may be back before the lease runs out

    def action(patience: Patience) -> str:
        assert jobs.asked.wait(60)
        return patience.stage

    assert turn(jobs, tmp_path).beside("fetching files", 0.5, action) == "fetching files"
    assert jobs.told[0] == Progress(stage="fetching files", done=0, total=1, fraction=0.5)


def test_its_errors_are_those_of_the_caller(tmp_path: Path) -> None:
    def action(_patience: Patience) -> None:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        turn(Scripted(["held"]), tmp_path).beside("fetching files", 0.0, action)


@pytest.mark.parametrize("answer", ["lost", "cancel"])
def test_it_is_given_up_with_the_job(tmp_path: Path, answer: str) -> None:
    ended = threading.Event()

    def action(patience: Patience) -> None:
        try:
            while True:
                patience.pause(60)
        except GivenUp:
            ended.set()
            raise

    with pytest.raises(Left) as left:
        turn(Scripted(["held", answer]), tmp_path).beside("fetching files", 0.0, action)
    assert left.value.held == answer
    assert ended.wait(60)


@pytest.mark.parametrize("why", [{"stopping": True}, {"deadline": 1e-9}])
def test_a_worker_that_stops_and_time_that_is_over_end_an_attempt_that_is_held(
    tmp_path: Path, why: dict[str, Any]
) -> None:
    with pytest.raises(Left) as left:
        turn(Scripted(["held"]), tmp_path, **why).beat(None)
    assert left.value.held == "held"
