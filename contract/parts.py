"""An analysis in parts. Each is a row like that of any job, with a parent: claim, lease, fence and loss are the same.

    parent   running ──split──▶ split ──last part succeeds──▶ succeeded
                                  └──a part fails / cancel──▶ failed | canceled
    part     waiting ──all it waits for have succeeded──▶ queued ⇄ running ──▶ succeeded | failed | canceled

The last part puts the report together and waits for all others; there is no other end. Whoever changes a part in a way
that concerns its parent locks the parent's row first, so the parts of one analysis end one after the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, insert, literal, select, update

from contract.database import Database, clock
from contract.job_rows import Claim, is_held
from contract.schemas import Problem
from contract.tables import jobs

CANCELED = Problem.of("canceled", "the analysis was canceled on request").model_dump(mode="json")


@dataclass(frozen=True)
class NewPart:
    """One part of a plan; `needs` names the parts whose results it reads."""

    number: int
    request: dict[str, Any]
    needs: Sequence[int]
    cost: float
    fingerprint: str
    queue: str


@dataclass(frozen=True)
class Context:
    """What a worker must know for a part: the request of the analysis, and the results of the parts it needs."""

    request: dict[str, Any]
    results: dict[int, str]


class Parts:
    """All statements on parts that are not those on any job."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, tenant: str, fingerprints: Iterable[str]) -> dict[str, str]:
        """Return the results that the tenant's parts with these fingerprints have had, by fingerprint."""
        query = select(jobs.c.fingerprint, jobs.c.report_sha256).where(
            jobs.c.tenant == tenant,
            jobs.c.kind == "part",
            jobs.c.state == "succeeded",
            jobs.c.fingerprint.in_(list(fingerprints)),
        )
        with self._database.read() as connection:
            return dict(connection.execute(query).all())

    def split(self, claim: Claim, parts: Sequence[NewPart], known: Mapping[str, str]) -> bool:
        """Turn a running analysis into parts; the last of them is the one that ends it.

        Parts whose results are `known` (fingerprint → digest) have succeeded already, and what only they would have
        needed is left out. Returns False where the attempt was lost to another, or a cancel came first.
        """
        with self._database.write() as connection:
            known = _still_there(connection, claim.tenant, known)
            rows = _rows(claim, parts, known, now=connection.execute(select(clock())).scalar_one())
            done = [row for row in rows if row["state"] == "succeeded"]
            share = sum(row["cost"] for row in done) / sum(row["cost"] for row in rows)
            parent = connection.execute(
                update(jobs)
                .where(is_held(claim), jobs.c.cancel_requested.is_(False))
                .values(
                    state="split",
                    lease_until=None,
                    stage=_stage(len(done), len(rows)),
                    parts=len(rows),
                    done=len(done),
                    total=len(rows),
                    fraction=share,
                    cost=sum(row["cost"] for row in rows),
                )
                .returning(jobs.c.priority, jobs.c.request_id)
            ).one_or_none()
            if parent is None:
                return False
            common = {"priority": parent.priority, "request_id": parent.request_id}
            connection.execute(insert(jobs).values(created_at=clock()), [row | common for row in rows])
            return True

    def context(self, claim: Claim) -> Context | None:
        """Return what a part is computed from; None where the analysis has been deleted."""
        with self._database.read() as connection:
            parent = connection.execute(select(jobs.c.request).where(jobs.c.id == claim.parent)).one_or_none()
            results = connection.execute(
                select(jobs.c.number, jobs.c.report_sha256).where(
                    jobs.c.parent == claim.parent, jobs.c.number.in_(claim.request["needs"])
                )
            )
            return None if parent is None else Context(dict(parent.request), dict(results.all()))

    def succeed(self, claim: Claim, *, sha256: str, device: str) -> bool:
        """Commit the result of a part, and with the last one the analysis; returns False where it does not count."""
        with self._database.write() as connection:
            parent = _locked(connection, claim.parent)
            if parent is None:
                return False
            ended = {"finished_at": clock(), "lease_until": None, "stage": "succeeded", "fraction": 1.0}
            part = connection.execute(
                update(jobs)
                .where(is_held(claim), jobs.c.cancel_requested.is_(False))
                .values(state="succeeded", report_sha256=sha256, device=device, **ended)
                .returning(jobs)
            ).one_or_none()
            if part is None:
                return False
            values = _noted(parent, part, device)
            if part.feeds:
                share = parent.fraction + part.cost / parent.cost
                done = parent.done + 1
                values |= {"done": done, "stage": _stage(done, parent.total), "fraction": min(share, 1.0)}
                _unlock(connection, part)
            else:
                # The report knows best where its layers were computed, and what was not computed where it should.
                values |= {
                    "state": "succeeded",
                    "report_sha256": sha256,
                    "device": device,
                    "done": jobs.c.total,
                    **ended,
                }
                # Their results have become the report; whoever sweeps deletes the files.
                connection.execute(delete(jobs).where(jobs.c.parent == parent.id))
            connection.execute(update(jobs).where(jobs.c.id == parent.id).values(values))
            return True

    def fail(self, claim: Claim, problem: Problem) -> bool:
        """End a part, and with it the analysis; returns False as `succeed` does."""
        with self._database.write() as connection:
            if _locked(connection, claim.parent) is None:
                return False
            error = problem.model_dump(mode="json")
            ended = {"finished_at": clock(), "lease_until": None, "stage": "failed"}
            part = connection.execute(
                update(jobs)
                .where(is_held(claim), jobs.c.cancel_requested.is_(False))
                .values(state="failed", error=error, **ended)
                .returning(jobs)
            ).one_or_none()
            if part is None:
                return False
            fail_parent(connection, part)
            return True


def fail_parent(connection: Connection, part: Row[Any]) -> None:
    """End the analysis of a part that has failed, with the part's reason. Its row must be locked."""
    parent = _locked(connection, part.parent)
    if parent is None:
        return
    error = dict(part.error)
    if error["code"] == "worker_lost":  # else the reason says itself what it is about
        error["detail"] += f"; it died of {part.request['about']}"
    values = {"state": "failed", "stage": "failed", "error": error, "finished_at": clock()}
    connection.execute(
        update(jobs).where(jobs.c.id == parent.id).values(values | _noted(parent, part, part.device or ""))
    )
    end_parts(connection, parent.id)


def end_parts(connection: Connection, parent: str) -> None:
    """Cancel what is left of an analysis that has ended: what waits at once, what runs when its worker hears of it."""
    left = jobs.c.state.in_(("waiting", "queued", "running"))
    connection.execute(update(jobs).where(jobs.c.parent == parent, left).values(canceling()))


def canceling() -> dict[str, Any]:
    """Return what a cancel changes of a row. One statement decides whether it runs, so none slips through between."""
    runs = jobs.c.state == "running"
    return {
        "cancel_requested": True,
        "state": case((runs, "running"), else_="canceled"),
        "stage": case((runs, jobs.c.stage), else_="canceled"),
        "finished_at": case((runs, jobs.c.finished_at), else_=clock()),
        "error": case((runs, jobs.c.error), else_=literal(CANCELED, jobs.c.error.type)),
    }


def lock_parents(connection: Connection, which: Any) -> None:
    """Lock the parents of some parts, before these are changed."""
    parents = connection.execute(select(jobs.c.parent).where(which, jobs.c.parent.is_not(None)).distinct())
    ids = sorted(parents.scalars())
    if ids:
        connection.execute(select(jobs.c.id).where(jobs.c.id.in_(ids)).order_by(jobs.c.id).with_for_update())


def _locked(connection: Connection, parent: str | None) -> Row[Any] | None:
    """Return the row of an analysis whose parts still count."""
    query = select(jobs).where(jobs.c.id == parent, jobs.c.state == "split").with_for_update()
    return connection.execute(query).one_or_none()


def _unlock(connection: Connection, part: Row[Any]) -> None:
    waits = and_(jobs.c.parent == part.parent, jobs.c.number.in_(part.feeds), jobs.c.state == "waiting")
    values = {"waits_for": jobs.c.waits_for - 1, "state": case((jobs.c.waits_for == 1, "queued"), else_="waiting")}
    connection.execute(update(jobs).where(waits).values(values))


def _stage(done: int, total: int) -> str:
    return f"{done} of {total} parts"


def _noted(parent: Row[Any], part: Row[Any], device: str) -> dict[str, Any]:
    """Return who computed the analysis so far, where, and how often."""
    devices = {name for known in (parent.device, device) for name in (known or "").split("+") if name}
    return {
        "workers": list(dict.fromkeys([*parent.workers, *part.workers])),
        "device": "+".join(sorted(devices)) or None,
        "attempt": max(parent.attempt, part.attempt),
    }


def _still_there(connection: Connection, tenant: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return what is known of parts whose rows are there until this transaction ends: they keep the files."""
    query = select(jobs.c.fingerprint, jobs.c.report_sha256).where(
        jobs.c.tenant == tenant,
        jobs.c.kind == "part",
        jobs.c.state == "succeeded",
        jobs.c.report_sha256.in_(list(known.values())),
    )
    found = set(connection.execute(query.with_for_update(read=True)).all())
    return {fingerprint: sha256 for fingerprint, sha256 in known.items() if (fingerprint, sha256) in found}


def _rows(claim: Claim, parts: Sequence[NewPart], known: Mapping[str, str], now: float) -> list[dict[str, Any]]:
    """Return the rows of the parts that are needed: the last one, and what is needed for a result not yet known."""
    by_number = {part.number: part for part in parts}
    needed, look = set[int](), [parts[-1].number]
    while look:
        number = look.pop()
        if number not in needed:
            needed.add(number)
            if by_number[number].fingerprint not in known:
                look += by_number[number].needs
    kept = [part for part in parts if part.number in needed]
    open_numbers = {part.number for part in kept if part.fingerprint not in known}
    feeds: dict[int, list[int]] = {part.number: [] for part in kept}
    waits_for = dict.fromkeys(feeds, 0)
    for part in kept:
        for number in part.needs if part.number in open_numbers else ():
            feeds[number].append(part.number)
            waits_for[part.number] += number in open_numbers
    return [
        _row(claim, part, feeds[part.number], waits_for[part.number], known.get(part.fingerprint), now) for part in kept
    ]


def _row(
    claim: Claim, part: NewPart, feeds: list[int], waits_for: int, sha256: str | None, now: float
) -> dict[str, Any]:
    state = "succeeded" if sha256 is not None else "waiting" if waits_for else "queued"
    return {
        "id": f"{claim.id}.{part.number:05d}",
        "tenant": claim.tenant,
        "kind": "part",
        "request": part.request | {"needs": list(part.needs)},
        "fingerprint": part.fingerprint,
        "queue": part.queue,
        "state": state,
        "attempt": 0,
        "losses": 0,
        "cancel_requested": False,
        "stage": state,
        "done": 0,
        "total": 0,
        "fraction": float(sha256 is not None),
        "report_sha256": sha256,
        "workers": [],
        "finished_at": None if sha256 is None else now,
        "parent": claim.id,
        "number": part.number,
        "waits_for": waits_for,
        "feeds": feeds,
        "cost": part.cost,
    }
