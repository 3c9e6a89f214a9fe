"""One `Settings`, read from the environment (prefix `INTERLAYER_`) and passed down."""

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

BucketUrl = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?$")]
PositiveSeconds = Annotated[float, Field(gt=0)]


class TenantLimits(BaseModel):
    """What one tenant may use; None: what the general setting says, or without a limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tenant_bytes: Annotated[int, Field(gt=0)] | None = None
    max_unfinished_jobs: Annotated[int, Field(gt=0)] | None = None
    max_tenant_running_jobs: Annotated[int, Field(gt=0)] | None = None
    max_tenant_compute_seconds_per_day: PositiveSeconds | None = None


class Settings(BaseSettings):
    """What an installation decides. Every process of one stack gets the same values."""

    model_config = SettingsConfigDict(env_prefix="INTERLAYER_", extra="ignore", frozen=True)

    data_dir: Path = Field(
        Path("interlayer-data"), description="Uploads, reports and, by default, the SQLite database."
    )
    database_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL. Default: SQLite in the data directory; several hosts need PostgreSQL."
    )
    transaction_seconds: PositiveSeconds = Field(
        30.0,
        description="PostgreSQL ends the session of a process that is silent for this long within a transaction, "
        "and gives its locks to others.",
    )
    broker_url: SecretStr | None = Field(
        None, description="redis:// URL. Without one, workers poll the database and no broker is needed."
    )

    blobs_url: BucketUrl | None = Field(
        None,
        description="s3://BUCKET/PREFIX for uploads and reports, reached as the usual AWS_ variables say. "
        "Default: the data directory, which all hosts then share.",
    )
    cache_bytes: Annotated[int, Field(gt=0)] = Field(
        100 * 2**30, description="Disk for what a worker's host has fetched from blobs_url; files in use may exceed it."
    )

    host: str = Field("127.0.0.1", description="Address that the service listens on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="Port that the service listens on.")

    max_artifact_bytes: Annotated[int, Field(gt=0)] = Field(64 * 2**30, description="Largest accepted upload.")
    max_request_bytes: Annotated[int, Field(gt=0)] = Field(2**20, description="Largest accepted JSON body.")
    max_report_bytes: Annotated[int, Field(gt=0)] = Field(32 * 2**20, description="Largest accepted report.")
    max_unpacked_bytes: Annotated[int, Field(gt=0)] = Field(256 * 2**30, description="Largest unpacked .npz file.")
    max_unfinished_jobs: Annotated[int, Field(gt=0)] = Field(1000, description="Unfinished analyses of one tenant.")
    free_disk_reserve_bytes: Annotated[int, Field(ge=0)] = Field(2**28, description="Disk that uploads leave free.")

    upload_seconds: PositiveSeconds = Field(86400.0, description="An upload without progress for this long is dropped.")
    header_seconds: PositiveSeconds = Field(10.0, description="Time that a client has to send a request's headers.")
    slow_body_seconds: PositiveSeconds = Field(30.0, description="How long a body may be slower than the least rate.")
    slow_body_bytes_per_second: Annotated[int, Field(ge=0)] = Field(1024, description="The least rate of a body.")
    max_connections: Annotated[int, Field(gt=0)] = Field(8192, description="Open connections to one service process.")

    lease_seconds: PositiveSeconds = Field(30.0, description="A worker silent for this long has lost its job.")
    poll_seconds: PositiveSeconds = Field(0.05, description="Pause between two looks at an empty queue.")
    resend_seconds: PositiveSeconds = Field(
        10.0, description="A queued job is announced to the broker again after this."
    )
    deadline_seconds: PositiveSeconds = Field(6 * 3600.0, description="An attempt that runs longer is killed.")
    max_attempts: Annotated[int, Field(gt=0)] = Field(3, description="Attempts before a job that kills workers fails.")
    part_seconds: Annotated[float, Field(ge=0)] = Field(
        20.0, description="Predicted time of one part; analyses of less than two are not split. 0: none is."
    )
    queues: str = Field(
        "cpu", description="Comma-separated queues that this worker serves and this service offers: cpu, gpu."
    )
    worker_threads: Annotated[int, Field(ge=0)] = Field(0, description="Threads of a computation; 0: all processors.")
    worker_memory_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="Working memory of a computation beyond its input; 0: as much as hpcore plans."
    )

    job_memory_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="Memory that a job may allocate before it fails; 0: what the machine or container has."
    )

    models_file: Path | None = Field(None, description="TOML file of the models and data sets that jobs may name.")
    sandbox: Literal["prefer", "require"] = Field(
        "prefer", description="Whether a model runs where the kernel cannot confine it fully: `require` refuses."
    )
    model_queue: str = Field(
        "", description="Queue of analyses that run models, `sandbox` for example; empty: as others."
    )
    model_seconds: PositiveSeconds = Field(3600.0, description="A model that runs longer in one analysis is killed.")

    max_tenant_bytes: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Bytes that one tenant may store. Default: as many as there is room for."
    )
    max_tenant_running_jobs: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Analyses of one tenant that run at the same time. Default: as many as there are workers."
    )
    max_tenant_compute_seconds_per_day: PositiveSeconds | None = Field(
        None, description="Time that the analyses of one tenant may compute on one day (UTC). Default: no limit."
    )
    tenant_limits: dict[str, TenantLimits] = Field(
        default_factory=dict, description='Other limits for some tenants, as JSON: {"TENANT": {"max_tenant_bytes": 1}}.'
    )
    max_estimated_seconds: PositiveSeconds = Field(
        7 * 86400.0, description="An analysis that is estimated to take longer is refused."
    )

    artifact_seconds: PositiveSeconds | None = Field(None, description="Uploads expire after this. Default: never.")
    job_seconds: PositiveSeconds | None = Field(
        None, description="Finished analyses expire, with their reports, after this. Default: never."
    )
    report_seconds: PositiveSeconds | None = Field(
        None, description="Stored reports that no baseline names expire after this. Default: never."
    )
    expired_note_seconds: PositiveSeconds = Field(
        30 * 86400.0, description="So long it is known that something was here and has expired."
    )
    audit_seconds: PositiveSeconds = Field(400 * 86400.0, description="So long the audit log is kept.")
    sweep_seconds: PositiveSeconds = Field(60.0, description="Pause between two looks for what has expired.")
    garbage_seconds: PositiveSeconds = Field(
        3600.0, description="A file that no row refers to is deleted when it is older."
    )
    max_failures_per_minute: Annotated[int, Field(gt=0)] = Field(
        30, description="Requests without a valid key, from one address or with one key id, before 429."
    )
    metrics_token: SecretStr | None = Field(
        None, description="Whoever has it may read /metrics; else it takes a key with the scope admin."
    )

    def limits_of(self, tenant: str) -> "TenantLimits":
        """Return the limits of one tenant: its own, and the general ones for the rest."""
        names = TenantLimits.model_fields
        general = {name: getattr(self, name) for name in names}
        own = self.tenant_limits.get(tenant, TenantLimits()).model_dump(exclude_none=True)
        return TenantLimits.model_validate(general | own)

    def most_running(self) -> tuple[int, dict[str, int]]:
        """Return how many analyses run at once: of any tenant, and of those with a limit of their own."""
        special = {name: own.max_tenant_running_jobs for name, own in self.tenant_limits.items()}
        usual = self.max_tenant_running_jobs or sys.maxsize
        return usual, {name: limit for name, limit in special.items() if limit is not None}

    @property
    def lock_file(self) -> Path:
        """A file whose lock serialises what must be done once per data directory."""
        return self.data_dir / "lock"

    def sqlalchemy_url(self) -> str:
        """Return the database URL, SQLite in the data directory by default."""
        if self.database_url is not None:
            # One URL for us and for the programs of PostgreSQL, which know nothing of drivers.
            return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", self.database_url.get_secret_value())
        return f"sqlite:///{self.data_dir.resolve() / 'interlayer.sqlite3'}"

    def queue_names(self) -> tuple[str, ...]:
        """Return `queues` as names."""
        return tuple(name.strip() for name in self.queues.split(",") if name.strip())
