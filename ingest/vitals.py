"""What the worker knows of its connections and threads: said once when it changes, shown for as long as it lasts."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Final

from db.engine import DatabaseFacts
from db.resends import ResendCounts
from ingest.health import BrokerHealth, DatabaseHealth, DeadLetters, ProtocolVersion, ThreadHealth

log = logging.getLogger(__name__)

#: A connection that holds this long is one: a loss after it is news, even for a reason that was told before.
_STEADY_MS: Final = 10_000


def now_ms() -> int:
    """This machine's clock, UTC ms."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class _Outage:
    """What was said of one connection's losses, so that nothing is said twice."""

    reasons: set[str] = field(default_factory=set)
    #: Whether its end is still to be said.
    open: bool = True

    def is_news(self, problem: str, held_ms: int | None) -> bool:
        """Whether to say that it is lost. `held_ms`: how long it held, None if it was lost before."""
        if held_ms is not None and held_ms >= _STEADY_MS:
            self.reasons.clear()
        if problem in self.reasons:
            return False
        self.reasons.add(problem)
        self.open = True
        return True

    def ends(self) -> bool:
        """Whether to say that it is back."""
        said, self.open = self.open, False
        return said


class Vitals:
    """Several threads report here, each change under a lock; readers get immutable records."""

    def __init__(self, broker_address: str, database_address: str, *, embedded: bool) -> None:
        now = now_ms()
        self._lock = threading.Lock()
        self._broker = BrokerHealth("connecting", now, broker_address, embedded=embedded)
        self._database = DatabaseHealth("connecting", now, database_address)
        self._threads: dict[str, ThreadHealth] = {}
        self._dead_letters = DeadLetters()
        self._resends = ResendCounts()
        self._broker_outage, self._database_outage = _Outage(), _Outage()
        self._hindrances: dict[str, _Outage] = {}
        self._well_since: dict[str, int] = {}
        #: Who can't use the database now: that one thread can is no comfort to another.
        self._database_lost_by: set[str] = set()
        self._turned_at: float | None = None

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

    @property
    def dead_letters(self) -> DeadLetters:
        """As they were counted last."""
        return self._dead_letters

    @property
    def turn_s(self) -> float | None:
        """Seconds since the worker's loop came round. None: it is opening the database, which may take its time."""
        turned_at = self._turned_at
        return None if turned_at is None else time.monotonic() - turned_at

    def opening(self) -> None:
        """The loop is about to bring the tables up to date: as long as that takes, nobody waits for its next turn."""
        self._turned_at = None

    def turned(self) -> None:
        """The loop came round."""
        self._turned_at = time.monotonic()

    def _tried(self) -> None:
        """A try that failed is a turn of a loop that has begun to turn."""
        if self._turned_at is not None:
            self.turned()

    def dead_letters_counted(self, kept: int, removed: int) -> None:
        """So many are kept, so many ever had to leave."""
        self._dead_letters = DeadLetters(kept, removed)

    @property
    def resends(self) -> ResendCounts:
        """What is asked for again, as it was counted last."""
        return self._resends

    def resends_counted(self, counts: ResendCounts) -> None:
        """So many messages are waited for, came, are gone, and were asked for in vain."""
        self._resends = counts

    def broker_connected(self, window: int | None, protocol: ProtocolVersion | None = None) -> None:
        """We are subscribed. `protocol` None: it is not known from here."""
        with self._lock:
            known = self._broker
            if known.state != "connected":
                known = replace(known, state="connected", since=now_ms(), problem=None)
                if self._broker_outage.ends():
                    log.info("Connected to the broker at %s.", known.address)
            self._broker = replace(known, window=window, protocol=protocol)

    def broker_lost(self, problem: str) -> None:
        """The broker is away: a warning when that begins, a line for each other reason, nothing for each attempt."""
        self._tried()
        with self._lock:
            known, now = self._broker, now_ms()
            connected = known.state == "connected"
            if self._broker_outage.is_news(problem, now - known.since if connected else None):
                level = logging.WARNING if connected or known.problem is None else logging.INFO
                log.log(level, "The broker at %s is away: %s. Trying again until it answers.", known.address, problem)
            since = known.since if known.state == "connecting" else now
            self._broker = replace(known, state="connecting", since=since, problem=problem)

    def broker_left(self) -> None:
        """We left, and are about to connect again."""
        with self._lock:
            if self._broker.state == "connected":
                self._broker = replace(self._broker, state="connecting", since=now_ms(), problem=None)

    def broker_stopped(self) -> None:
        """We left."""
        with self._lock:
            self._broker = replace(self._broker, state="stopped", since=now_ms(), problem=None)

    def database_connected(self, facts: DatabaseFacts | None = None, *, by: str = "ingest") -> None:
        """The database does what `by` asks. `facts` are what it says of itself, None for what is known already."""
        with self._lock:
            known = self._database
            self._database_lost_by.discard(by)
            if known.state != "connected" and not self._database_lost_by:
                known = replace(known, state="connected", since=now_ms(), problem=None)
                if self._database_outage.ends():
                    log.info("Connected to the database at %s.", known.address)
            if facts is not None:
                known = replace(known, product=facts.product, version=facts.version, warning=facts.warning)
                if facts.warning:
                    log.warning("%s", facts.warning)
            self._database = known

    def database_lost(self, problem: str, *, by: str = "ingest") -> None:
        """The database fails `by`: a warning when that begins, a line for each other reason."""
        if by == "ingest":
            self._tried()
        with self._lock:
            known, now = self._database, now_ms()
            self._database_lost_by.add(by)
            connected = known.state == "connected"
            if self._database_outage.is_news(problem, now - known.since if connected else None):
                level = logging.WARNING if connected or known.problem is None else logging.INFO
                log.log(level, "Waiting for the database at %s: %s.", known.address, problem.rstrip("."))
            since = known.since if known.state == "connecting" else now
            self._database = replace(known, state="connecting", since=since, problem=problem)

    def thread_runs(self, name: str) -> None:
        """A thread began, or began again."""
        with self._lock:
            known = self._threads.get(name)
            restarts = 0 if known is None else known.restarts + 1
            self._threads[name] = ThreadHealth(name, True, restarts)

    def thread_hindered(self, name: str, problem: str | None) -> None:
        """A living thread can't do its work, for this reason; None: it can. Said as the broker's losses are."""
        with self._lock:
            known, now = self._threads.get(name) or ThreadHealth(name, True, 0), now_ms()
            outage = self._hindrances.setdefault(name, _Outage(open=False))
            if problem is None:
                if known.problem is not None:
                    self._well_since[name] = now
                    if outage.ends():
                        log.info("Thread %s works again.", name)
            elif outage.is_news(problem, now - self._well_since.get(name, 0) if known.problem is None else None):
                log.warning("Thread %s can't work: %s. Trying again until it can.", name, problem)
            self._threads[name] = replace(known, problem=problem)

    def thread_died(self, name: str, problem: str | None) -> None:
        """A thread ended: by itself with a problem, or as it was told."""
        with self._lock:
            known = self._threads.get(name) or ThreadHealth(name, False, 0)
            self._threads[name] = replace(known, alive=False, problem=problem)
