"""Analyses that many workers share: whatever is killed, each part counts once, and so does the report."""

from tests.faults import history
from tests.faults.load import Order
from tests.faults.trials import Trial

ANYHOW = (("succeeded", None), ("canceled", "canceled"))


def parts(trial: Trial) -> None:
    """Workers are killed at random while they share analyses; some are canceled in the middle, some are poisoned."""
    stand, load = trial.stand, trial.load
    orders = [Order("parts", trial.random.randint(20, 250)) for _ in range(trial.size(8, 40))]
    orders += [Order("poison part", 30, (("failed", "worker_lost"),)) for _ in range(trial.size(2, 5))]
    orders += [Order("parts", 400, ANYHOW) for _ in range(trial.size(3, 10))]
    trial.random.shuffle(orders)

    def faults() -> None:
        for number in range(trial.size(8, 40)):
            trial.pause(0.3, 2.0)
            role = trial.random.choice(stand.workers)
            (stand.kill if trial.random.random() < 0.75 else stand.kill_child)(role)
            if stand.cluster and number % 4 == 0:
                stand.kills["broker"] += 1
                stand.redis.flushall()
            waiting = [job for job, accepted in load.accepted.items() if accepted.expected == ANYHOW]
            if waiting:
                load.cancel(trial.random.choice(waiting))

    # So few losses in a row are no poison: what is killed here is killed by us.
    stand.reconfigure(max_attempts="6")
    ids = trial.during(orders, faults)
    stand.until(lambda: not history.open_parts(stand.database), "canceled parts to be left")
    trial.note = f"{len(ids)} analyses of 9 parts"
    stand.reconfigure()
