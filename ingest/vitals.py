"""What the worker knows of its connections and threads: said once when it changes, shown for as long as it lasts."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from db.engine import DatabaseFacts
from ingest.health import BrokerHealth, DatabaseHealth, ThreadHealth

log = logging.getLogger(__name__)


def now_ms() -> int:
    """This machine's clock, UTC ms."""
    return time.time_ns() // 1_000_000


class Vitals:
    """Several threads report here, each change under a lock; readers get immutable records."""

    def __init__(self, broker_address: str, database_address: str, *, embedded: bool) -> None:
        now = now_ms()
        self._lock = threading.Lock()
        self._broker = BrokerHealth("connecting", now, broker_address, embedded=embedded)
        self._database = DatabaseHealth("connecting", now, database_address)
        self._threads: dict[str, ThreadHealth] = {}

    @property
    def broker(self) -> BrokerHealth:
        """The connection in."""
        return self._broker

    @property
    def database(self) -> DatabaseHealth:
        """The database."""
        return self._database

    @property
    def threads(self) -> tuple[ThreadHealth, ...]:
        """All threads that ever reported, by name."""
        with self._lock:
            return tuple(self._threads[name] for name in sorted(self._threads))

    def broker_connected(self, window: int | None) -> None:
        """We are subscribed."""
        with self._lock:
            if self._broker.state != "connected":
                log.info("Connected to the broker at %s.", self._broker.address)
            self._broker = replace(self._broker, state="connected", since=now_ms(), problem=None, window=window)

    def broker_lost(self, problem: str) -> None:
        """The broker is away. Logged when it begins and when the reason changes, not with every attempt."""
        with self._lock:
            known = self._broker
            if known.state == "connecting" and known.problem == problem:
                return
            log.warning("The broker at %s is away: %s. Trying again until it answers.", known.address, problem)
            since = known.since if known.state == "connecting" else now_ms()
            self._broker = replace(known, state="connecting", since=since, problem=problem)

    def broker_stopped(self) -> None:
        """We left."""
        with self._lock:
            self._broker = replace(self._broker, state="stopped", since=now_ms(), problem=None)

    def database_connected(self, facts: DatabaseFacts | None = None) -> None:
        """The database does what it is asked. `facts` are what it says of itself, None for what is known already."""
        with self._lock:
            known = self._database
            if known.state != "connected":
                log.info("Connected to the database at %s.", known.address)
                known = replace(known, state="connected", since=now_ms(), problem=None)
            if facts is not None:
                known = replace(known, product=facts.product, version=facts.version, warning=facts.warning)
                if facts.warning:
                    log.warning("%s", facts.warning)
            self._database = known

    def database_lost(self, problem: str) -> None:
        """The database is away. Logged when it begins and when the reason changes."""
        with self._lock:
            known = self._database
            if known.state == "connecting" and known.problem == problem:
                return
            log.warning("Waiting for the database at %s: %s.", known.address, problem.rstrip("."))
            since = known.since if known.state == "connecting" else now_ms()
            self._database = replace(known, state="connecting", since=since, problem=problem)

    def thread_runs(self, name: str) -> None:
        """A thread began, or began again."""
        with self._lock:
            known = self._threads.get(name)
            restarts = 0 if known is None else known.restarts + 1
            self._threads[name] = ThreadHealth(name, True, restarts)

    def thread_died(self, name: str, problem: str | None) -> None:
        """A thread ended: by itself with a problem, or as it was told."""
        with self._lock:
            known = self._threads.get(name) or ThreadHealth(name, False, 0)
            self._threads[name] = replace(known, alive=False, problem=problem)
