"""Celery, configured in one place. A message carries a job id and nothing else, and may be lost or come twice."""

from typing import Any

from contract.settings import Settings

RUN_JOB = "interlayer.run_job"
# A look into an upload takes a moment and must not wait behind an analysis that takes an hour: every worker has a lane
# for this queue that polls the database, and the broker never hears of it.
INSPECTION_QUEUE = "inspect"


def make_celery(settings: Settings) -> Any:
    """Return the Celery application of this installation."""
    from celery import Celery

    if settings.broker_url is None:
        raise ValueError("INTERLAYER_BROKER_URL is not set: Celery needs a redis:// URL (or use the polling worker)")
    app = Celery("interlayer", broker=settings.broker_url.get_secret_value())
    app.conf.update(
        # The database row is the job and its lease brings a dead worker's job back. Early acknowledgement therefore
        # loses nothing, while a late one would run long jobs twice when Redis' visibility timeout passes.
        task_acks_late=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # a message that waits in a busy worker would wake nobody
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "health_check_interval": 25,
        },
        task_default_queue="cpu",
    )
    return app


def announce(app: Any, job_id: str, queue: str) -> None:
    """Tell the workers of `queue` that a job waits. Raises at once where the broker does not answer."""
    app.send_task(RUN_JOB, args=[job_id], queue=queue, retry=False)


def announcements(app: Any, queue: str) -> int:
    """Return how many messages wait for the workers of `queue`. Raises at once where the broker does not answer."""
    with app.connection_or_acquire() as connection:
        try:
            return int(connection.default_channel.queue_declare(queue=queue).message_count)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise ConnectionError(f"the broker does not answer: {error}") from error
