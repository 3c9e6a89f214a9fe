"""How many analyses of a tenant run at once, and leases where clocks are wrong."""

import time

import pytest

from contract.jobs import Claim, Jobs, NewJob
from contract.settings import Settings, TenantLimits


def submitted(store: Jobs, tenant: str, count: int) -> None:
    for _ in range(count):
        store.submit(NewJob(tenant, "analysis", {}, "cpu", "f"), max_unfinished=99)


def claims(store: Jobs, settings: Settings) -> list[Claim]:
    """Claim until nothing may run."""
    found = []
    while (claim := store.claim("w", 60, queues=["cpu"], most_running=settings.most_running())) is not None:
        found.append(claim)
    return found


def tenants(found: list[Claim]) -> list[str]:
    return sorted(claim.tenant for claim in found)


def test_a_tenant_runs_no_more_analyses_than_it_may(store: Jobs) -> None:
    own = {"wide": TenantLimits(max_tenant_running_jobs=3), "other": TenantLimits(max_tenant_bytes=1)}
    limited = Settings(max_tenant_running_jobs=1, tenant_limits=own)
    for tenant in ("wide", "usual", "other"):
        submitted(store, tenant, 4)
    first = claims(store, limited)
    assert tenants(first) == ["other", "usual", "wide", "wide", "wide"]
    (ended,) = [claim for claim in first if claim.tenant == "usual"]
    assert store.succeed(ended, report_sha256="0" * 64, device="cpu")
    assert tenants(claims(store, limited)) == ["usual"], "one has ended, one may begin"


def test_only_one_tenant_may_be_limited(store: Jobs) -> None:
    for tenant in ("slow", "usual"):
        submitted(store, tenant, 3)
    limited = Settings(tenant_limits={"slow": TenantLimits(max_tenant_running_jobs=2)})
    assert tenants(claims(store, limited)) == ["slow", "slow", "usual", "usual", "usual"]


def test_files_are_looked_into_whatever_runs(store: Jobs) -> None:
    submitted(store, "a", 2)
    store.submit(NewJob("a", "inspection", {"sha256": "0" * 64}, "cpu", "i"), max_unfinished=99)
    found = claims(store, Settings(max_tenant_running_jobs=1))
    assert sorted(claim.kind for claim in found) == ["analysis", "inspection"]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_wrong_clock_of_a_worker_costs_no_lease_and_keeps_none(
    store: Jobs, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    usual = time.time
    submitted(store, "a", 2)
    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: usual() + step)
        held = store.claim("wrong", 60, queues=["cpu"])
        assert held is not None
        assert store.requeue_expired(3) == 0, "it looks for lost workers itself"
    assert store.requeue_expired(3) == 0, "another looks whose clock is right"
    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: usual() + step)
        assert store.heartbeat(held, 60, None) == "held"
        assert store.claim("frozen", -1, queues=["cpu"]) is not None  # its lease has run out
    assert store.requeue_expired(3) == 1, "a lease that has run out is not kept either"
