"""`/metrics`: the account and the worker's state for Prometheus, taken from memory when it asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.auth import ADMIN, HERE, who
from api.current import TheRuntime
from db.sizes import Sizes
from ingest.health import Account, Health
from ingest.snapshot import Snapshot

router = APIRouter(tags=["health"])

_PREFIX: Final = "smartmonitor"


@router.get(
    "/metrics",
    summary="For Prometheus",
    dependencies=[who(HERE, ADMIN)],
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text format, or OpenMetrics where it is asked for",
            "content": {"text/plain": {}},
        },
    },
)
def show_metrics(runtime: TheRuntime, request: Request) -> Response:
    """The account, connections, threads, devices by state, dead letters, sizes, this process."""
    registry = CollectorRegistry()
    registry.register(_Worker(runtime.health(), runtime.board.current, runtime.sizes.current()))
    ProcessCollector(registry=registry)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=media_type, headers={"Cache-Control": "no-store"})


class _Worker(Collector):
    """One scrape: metrics of one moment. None has a label a device, of which there may be thousands."""

    def __init__(self, health: Health, board: Snapshot, sizes: Sizes | None) -> None:
        self._health, self._board, self._sizes = health, board, sizes

    def collect(self) -> Iterator[Metric]:
        """All of them, in a fixed order."""
        health = self._health
        if health.database.product is not None:  # before it was reached, 0 would read as a counter that began again
            yield from _account(health.account)
        yield _gauge("can_store", "1 if a reading that arrives now would be stored.", health.can_store)
        yield _gauge("broker_up", "1 if the broker is connected.", health.broker.state == "connected")
        yield _gauge("database_up", "1 if the database does what is asked.", health.database.state == "connected")
        if health.rates.store_ms is not None:
            text = "Seconds from receipt to commit, of the last batch."
            yield _gauge("store_seconds", text, health.rates.store_ms / 1000)
        yield from _parts(health)
        yield _devices(self._board)
        yield _gauge("snapshot_version", "Rises by one with each change of what Live shows.", self._board.version)
        yield _gauge("dead_letters", "Kept, as counted within the last minute.", health.dead_letters.kept)
        removed = CounterMetricFamily(f"{_PREFIX}_dead_letters_removed", "Had to leave for newer ones.")
        removed.add_metric([], health.dead_letters.removed)
        yield removed
        yield _resends(health)
        if self._sizes is not None:  # the first scrape has it looked for, and does not wait
            yield from _storage(self._sizes)


def _account(account: Account) -> Iterator[Metric]:
    for what, counts in (("messages", account.messages), ("readings", account.readings)):
        family = CounterMetricFamily(
            f"{_PREFIX}_{what}", f"What became of {what}, over all starts of the worker.", labels=["outcome"]
        )
        for outcome in ("stored", "duplicate", "rejected"):
            family.add_metric([outcome], getattr(counts, outcome))
        yield family
        yield _gauge(f"{what}_waiting", f"Received {what} that are not stored yet.", counts.waiting)


def _parts(health: Health) -> Iterator[Metric]:
    alive = GaugeMetricFamily(f"{_PREFIX}_thread_alive", "1 if the thread runs.", labels=["thread"])
    restarts = CounterMetricFamily(
        f"{_PREFIX}_thread_restarts", "How often it died and began again.", labels=["thread"]
    )
    for thread in health.threads:
        alive.add_metric([thread.name], thread.alive)
        restarts.add_metric([thread.name], thread.restarts)
    age = GaugeMetricFamily(
        f"{_PREFIX}_worker_heartbeat_age_seconds", "Of each worker elsewhere (INGEST=off).", labels=["worker"]
    )
    for worker in health.workers:
        age.add_metric([worker.name], worker.heartbeat_age_ms / 1000)
    yield from (alive, restarts, age)


def _devices(board: Snapshot) -> Metric:
    states = {True: "online", False: "offline", None: "unknown"}
    counts = dict.fromkeys(states.values(), 0)
    for device in board.devices.values():
        counts[states[device.online_now]] += 1
    family = GaugeMetricFamily(f"{_PREFIX}_devices", "By what their status says; unknown never told.", labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family


def _resends(health: Health) -> Metric:
    family = GaugeMetricFamily(
        f"{_PREFIX}_resends",
        "Messages that never arrived, of the last 30 days, by what came of asking.",
        labels=["state"],
    )
    for state, count in asdict(health.resends).items():
        family.add_metric([state], count)
    return family


def _storage(sizes: Sizes) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        f"{_PREFIX}_database_bytes", "Taken by each table with its indexes, within the last minutes.", labels=["table"]
    )
    for table in sizes.tables:
        family.add_metric([table.name], table.taken)
    yield family
    yield _gauge("database_readings", "Readings that are kept.", sizes.kept)
    if sizes.disk_free is not None:
        yield _gauge("database_disk_free_bytes", "Free on the disk of the database.", sizes.disk_free)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)
