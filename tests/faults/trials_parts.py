"""Analyses that many workers share: whatever is killed, each part counts once, and so does the report."""

from tests.faults import history
from tests.faults.computing import CURED
from tests.faults.load import SUCCEEDED, Accepted, Order
from tests.faults.trials import Trial

POISONED = (("failed", "worker_lost"),)
ANYHOW = (("succeeded", None), ("canceled", "canceled"))


def parts(trial: Trial) -> None:
    """Workers are killed at random while they share analyses; some are canceled in the middle, some are poisoned."""
    stand, load = trial.stand, trial.load
    orders = [Order("parts", trial.random.randint(20, 250)) for _ in range(trial.size(8, 40))]
    orders += [Order("poison part", 30, POISONED) for _ in range(trial.size(2, 5))]
    orders += [Order("parts", 400, ANYHOW) for _ in range(trial.size(3, 10))]
    trial.random.shuffle(orders)

    def faults() -> None:
        for number in range(trial.size(8, 40)):
            trial.pause(0.3, 2.0)
            role = trial.random.choice(stand.workers)
            (stand.kill if trial.random.random() < 0.75 else stand.kill_child)(role)
            if stand.cluster and number % 4 == 0:
                stand.kills["broker"] += 1
                stand.broker.connect().flushall()
            waiting = [job for job, accepted in load.accepted.items() if accepted.expected == ANYHOW]
            if waiting:
                load.cancel(trial.random.choice(waiting))

    # So few losses in a row are no poison: what is killed here is killed by us.
    stand.reconfigure(max_attempts="6")
    ids = trial.during(orders, faults)
    stand.until(lambda: not history.open_parts(stand.database), "canceled parts to be left")
    _try_again(trial, [job for job in ids if load.accepted[job].expected == POISONED])
    trial.note = f"{len(ids)} analyses of 9 parts"
    stand.reconfigure()


def _try_again(trial: Trial, given_up: list[str]) -> None:
    """What was given up is tried again once it kills no worker any more, and ends."""
    stand, load = trial.stand, trial.load
    cured = stand.data / CURED
    cured.touch()
    again = set()
    for job in given_up:
        answer = load.request("POST", f"/v1/analyses/{job}/retry")
        trial.expect(answer.status_code == 202, f"a retry was answered with {answer.status_code}")
        again.add(answer.json()["id"])
        load.accepted[answer.json()["id"]] = Accepted("a", SUCCEEDED)
    stand.until_ended(again)
    cured.unlink()
