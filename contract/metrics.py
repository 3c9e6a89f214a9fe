"""What Prometheus is told: of the requests of this process, and of everything else as the database knows it.

Workers open no port: what they count is in the database, so every service process tells the same of them.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import case, func, select

from contract.blobs import Blobs
from contract.counters import Counters, Processes
from contract.database import Database, clock
from contract.queue import INSPECTION_QUEUE
from contract.settings import Settings
from contract.tables import UNFINISHED, artifacts, jobs, reports

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# counter in the database → (what it means, the name of its label)
_COUNTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "lease_expiries": ("Jobs taken from workers that fell silent.", ()),
    "fenced_completions": ("Attempts that ended after their job had gone to another worker, or was canceled.", ()),
    "publish_failures": ("Times that jobs could not be announced to the broker.", ()),
    "gpu_fallbacks": ("Analyses of a worker with a GPU that ran on the CPU.", ()),
    "child_exits": ("Computing processes that ended with a job, by cause.", ("cause",)),
}
_DEAD_LETTER_SECONDS = 86400.0
_STATES_OF_WORK = ("queued", "running", "waiting")  # parts wait for others; an analysis that was split is its parts


class Metrics:
    """The metrics of one service process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._registry = CollectorRegistry()
        names = ["method", "route", "status"]
        self._requests = Counter("interlayer_http_requests", "Answered requests.", names, registry=self._registry)
        self._seconds = Histogram(
            "interlayer_http_request_seconds", "Time until the answer began.", names[:2], registry=self._registry
        )
        self._failures = Counter(
            "interlayer_authentication_failures", "Requests without a valid key.", registry=self._registry
        )
        self._received = Counter(
            "interlayer_received_bytes", "Bytes of request bodies, most of them uploads.", registry=self._registry
        )
        self._registry.register(_State(settings, database))

    def answered(self, method: str, route: str, status: int, seconds: float, received: int) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
        self._received.inc(received)

    def refused(self) -> None:
        """Count a request without a valid key."""
        self._failures.inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _State(Collector):
    """The database's view of jobs, files and processes at this moment."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._blobs = Blobs.open(settings)

    def describe(self) -> list[Metric]:
        """Say nothing before the database is asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Ask the database."""
        yield from self._jobs()
        yield from self._queues()
        yield from self._files()
        yield from self._processes()
        yield from self._counted()

    def _jobs(self) -> Iterator[Metric]:
        by_state = GaugeMetricFamily("interlayer_jobs", "Jobs.", labels=["state", "kind"])
        waits = GaugeMetricFamily(
            "interlayer_oldest_queued_seconds", "Age of the job that waits longest.", labels=["queue"]
        )
        repeated = select(func.count()).where(jobs.c.attempt > 1)
        # What an error says is read here: PostgreSQL cannot look into JSON that has a zero byte anywhere.
        failed = select(jobs.c.error).where(
            jobs.c.state == "failed",
            jobs.c.kind != "part",  # its analysis is one
            (jobs.c.losses > 0) | jobs.c.parts.is_not(None),  # or it was a part that lost its workers
            jobs.c.finished_at > clock() - _DEAD_LETTER_SECONDS,
        )
        age = clock() - func.min(jobs.c.created_at)
        with self._database.read() as connection:
            for row in connection.execute(
                select(jobs.c.state, jobs.c.kind, func.count()).group_by(jobs.c.state, jobs.c.kind)
            ):
                by_state.add_metric([row[0], row[1]], row[2])
            oldest = dict.fromkeys(self._queue_names(), 0.0)
            queued = select(jobs.c.queue, age).where(UNFINISHED, jobs.c.state == "queued").group_by(jobs.c.queue)
            oldest |= {row[0]: row[1] for row in connection.execute(queued)}
            n_repeated = connection.execute(repeated).scalar_one()
            n_lost = sum(error["code"] == "worker_lost" for error in connection.execute(failed).scalars())
        for queue, seconds in oldest.items():
            waits.add_metric([queue], seconds)
        yield by_state
        yield waits
        yield GaugeMetricFamily("interlayer_jobs_repeated", "Jobs with more than one attempt.", value=n_repeated)
        yield GaugeMetricFamily("interlayer_dead_letters", "Jobs given up within a day.", value=n_lost)

    def _queue_names(self) -> list[str]:
        """Return the queues that are told of also while they are empty, so that who scales by them sees a zero."""
        queues = [*self._settings.queue_names(), self._settings.model_queue, INSPECTION_QUEUE]
        return list(dict.fromkeys(filter(None, queues)))

    def _queues(self) -> Iterator[Metric]:
        """Tell how much work waits and runs in each queue, in rows and in predicted seconds, for an autoscaler."""
        labels = ["queue", "state"]
        rows = GaugeMetricFamily("interlayer_queue_jobs", "Unfinished jobs and parts of jobs.", labels=labels)
        work = GaugeMetricFamily(
            "interlayer_queue_predicted_seconds", "Predicted seconds of computing left in a queue.", labels=labels
        )
        unknown = GaugeMetricFamily(
            "interlayer_queue_unpredicted_jobs",
            "Those without a prediction, counted as 0 s.",
            labels=labels,
        )
        left = jobs.c.cost * case((jobs.c.state == "running", 1.0 - jobs.c.fraction), else_=1.0)
        query = (
            select(jobs.c.queue, jobs.c.state, func.count(), func.sum(left), func.count(jobs.c.cost))
            .where(UNFINISHED, jobs.c.state.in_(_STATES_OF_WORK))
            .group_by(jobs.c.queue, jobs.c.state)
        )
        found = {(queue, state): (0, 0.0, 0) for queue in self._queue_names() for state in _STATES_OF_WORK}
        with self._database.read() as connection:
            for queue, state, count, seconds, predicted in connection.execute(query):
                found[queue, state] = (count, seconds or 0.0, count - predicted)
        for key, values in found.items():
            for family, value in zip((rows, work, unknown), values, strict=True):
                family.add_metric(key, value)
        yield from (rows, work, unknown)

    def _files(self) -> Iterator[Metric]:
        stored = GaugeMetricFamily("interlayer_tenant_bytes", "Bytes of files and reports.", labels=["tenant"])
        total: dict[str, int] = {}
        with self._database.read() as connection:
            for table in (artifacts, reports):
                query = select(table.c.tenant, func.sum(table.c.bytes)).group_by(table.c.tenant)
                for tenant, size in connection.execute(query):
                    total[tenant] = total.get(tenant, 0) + int(size)
        for tenant, size in total.items():
            stored.add_metric([tenant], size)
        yield stored
        yield GaugeMetricFamily("interlayer_disk_free_bytes", "Free space.", value=self._blobs.free_bytes())
        yield GaugeMetricFamily(
            "interlayer_store_up", "Whether the store of files answers.", value=self._blobs.trouble() is None
        )
        yield GaugeMetricFamily("interlayer_disk_bytes", "Size of the disk.", value=self._blobs.disk_bytes())

    def _processes(self) -> Iterator[Metric]:
        found = Processes(self._database).all()
        beats = GaugeMetricFamily(
            "interlayer_heartbeat_age_seconds", "Time since a process was seen last.", labels=["role", "process"]
        )
        trouble = GaugeMetricFamily("interlayer_troubled", "Processes that miss something.", labels=["role"])
        troubled: dict[str, int] = {"dispatcher": 0}
        for process in found:
            beats.add_metric([process.role, process.name], process.age)
            troubled[process.role] = troubled.get(process.role, 0) + (process.trouble is not None)
        for role, count in troubled.items():
            trouble.add_metric([role], count)
        yield beats
        yield trouble
        ages = [process.age for process in found if process.reconciles]
        if ages:
            yield GaugeMetricFamily(
                "interlayer_reconciler_age_seconds", "Time since lost jobs were looked for.", value=min(ages)
            )

    def _counted(self) -> Iterator[Metric]:
        counted = Counters(self._database).all()
        for name, (meaning, labels) in _COUNTED.items():
            family = CounterMetricFamily(f"interlayer_{name}", meaning, labels=labels)
            values = {label: value for (known, label), value in counted.items() if known == name}
            for label, value in (values or ({} if labels else {"": 0.0})).items():
                family.add_metric([label] if labels else [], value)
            yield family
