"""`/health/`: whether what arrives now would be stored, and if not, why."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.auth import OPEN, who
from api.current import TheRuntime
from api.problems import RETRY_AFTER_S
from db.resends import ResendCounts
from ingest.follower import SILENT_AFTER_MS
from ingest.health import BrokerHealth, Counts, DatabaseHealth, DeadLetters, Health, Rates, ThreadHealth, WorkerHealth

router = APIRouter(tags=["health"])

Status = Literal["ok", "starting", "degraded", "stopping"]


class CountsAnswer(BaseModel):
    """One side of the account: received = stored + duplicate + rejected + waiting, always."""

    received: int
    stored: int
    duplicate: int
    rejected: int
    waiting: int


class IngestAnswer(CountsAnswer):
    """The account in messages, the same in readings, and who works.

    `mode` is INGEST. With `off` the counts are the sums of the workers elsewhere, each of which stands in `workers`.
    `keeper`: whether the worker in this process, or that listed one, takes presence and states and does the upkeep.
    `resends`: messages that never arrived and that devices are asked to send again, and what became of them lately.
    """

    mode: Literal["thread", "off"]
    started_at: int
    keeper: bool
    readings: CountsAnswer
    rates: Rates
    threads: list[ThreadHealth]
    workers: list[WorkerHealth]
    dead_letters: DeadLetters
    resends: ResendCounts


class HealthAnswer(BaseModel):
    """`ok`: all well. `starting`: nothing failed yet. `degraded`: something is away, its `problem` says what.

    `stopping`: the server was asked to end. Times are UTC ms.
    """

    status: Status
    broker: BrokerHealth
    database: DatabaseHealth
    ingest: IngestAnswer


@router.get(
    "/health/",
    summary="How the server is",
    dependencies=[who(OPEN)],
    responses={503: {"model": HealthAnswer, "description": "What arrives now could not be stored; the same body"}},
)
def show_health(runtime: TheRuntime, response: Response) -> HealthAnswer:
    """200, or 503 while the worker can't store. With `INGEST=off`, 200 while the database answers."""
    health = runtime.health()
    stopping = runtime.stopping.is_set()
    response.headers["Cache-Control"] = "no-store"
    if stopping or not health.can_store:
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return HealthAnswer(
        status="stopping" if stopping else status_of(health),
        broker=health.broker,
        database=health.database,
        ingest=_ingest(health),
    )


def status_of(health: Health) -> Status:
    """One word for it. Pure."""
    if health.can_store:
        alive = any(worker.heartbeat_age_ms <= SILENT_AFTER_MS for worker in health.workers)
        return "ok" if health.mode == "thread" or alive else "degraded"
    problems = [health.broker.problem, health.database.problem, *(thread.problem for thread in health.threads)]
    return "degraded" if any(problems) else "starting"


def _ingest(health: Health) -> IngestAnswer:
    return IngestAnswer(
        **_counts(health.account.messages),
        mode=health.mode,
        started_at=health.started_at,
        keeper=health.keeper,
        readings=CountsAnswer(**_counts(health.account.readings)),
        rates=health.rates,
        threads=list(health.threads),
        workers=list(health.workers),
        dead_letters=health.dead_letters,
        resends=health.resends,
    )


def _counts(counts: Counts) -> dict[str, int]:
    return {"received": counts.received, **asdict(counts)}
