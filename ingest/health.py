"""How the worker is: frozen records that the System page and /api/health/ show. Times are UTC ms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from db.resends import ResendCounts

#: `connected`: works. `connecting`: trying, with the reason in `problem`. `stopped`: we ended it ourselves.
State = Literal["connecting", "connected", "stopped"]

#: Of MQTT.
ProtocolVersion = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class Counts:
    """One side of the account. received = stored + duplicate + rejected + waiting, always."""

    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    waiting: int = 0

    @property
    def received(self) -> int:
        """All that was ever received."""
        return self.stored + self.duplicate + self.rejected + self.waiting

    def __str__(self) -> str:
        """As a sum that one can check by eye."""
        return (
            f"{self.received} received = {self.stored} stored + {self.duplicate} duplicate + {self.rejected} rejected "
            f"+ {self.waiting} waiting"
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.stored + other.stored,
            self.duplicate + other.duplicate,
            self.rejected + other.rejected,
            self.waiting + other.waiting,
        )


@dataclass(frozen=True, slots=True)
class Account:
    """The account of this worker over all its starts, in messages and in readings."""

    messages: Counts = Counts()
    readings: Counts = Counts()

    def __add__(self, other: Account) -> Account:
        return Account(self.messages + other.messages, self.readings + other.readings)


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """The connection in. `address` has no password; `window` is how many messages may be unacknowledged, if known.

    What the broker tells of itself, None if it does not: `backlog`, messages that wait there for any of its clients;
    `catch_up_ms`, until they have gone at the present rate; `dropped`, messages lost for full queues since its start.
    """

    state: State
    since: int
    address: str
    problem: str | None = None
    window: int | None = None
    embedded: bool = False
    protocol: ProtocolVersion | None = None
    backlog: int | None = None
    catch_up_ms: int | None = None
    dropped: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """The database. `address` has no password; `warning` is a sentence about its settings."""

    state: State
    since: int
    address: str
    product: str | None = None
    version: str | None = None
    problem: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadHealth:
    """One thread of the worker. `restarts` counts how often it died and was started again.

    `problem`: why it died, or where it is alive what hinders it.
    """

    name: str
    alive: bool
    restarts: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """A worker that runs elsewhere, as its row tells. `heartbeat_age_ms` is measured by the database's clock.

    `keeper`: whether it is the one that takes presence and states, and does the upkeep for all.
    """

    name: str
    heartbeat_age_ms: int
    broker_state: str
    keeper: bool = False


@dataclass(frozen=True, slots=True)
class Rates:
    """Of the last 60 seconds: messages and readings stored; of the last batch the ms from receipt to commit.

    `lag_ms`: how old the freshest reading was that came last, by its device's clock, and while a batch waits for the
    database that and the wait; None if unknown.
    """

    messages_per_minute: int = 0
    readings_per_minute: int = 0
    store_ms: int | None = None
    lag_ms: int | None = None

    def __add__(self, other: Rates) -> Rates:
        return Rates(
            self.messages_per_minute + other.messages_per_minute,
            self.readings_per_minute + other.readings_per_minute,
            other.store_ms if self.store_ms is None else self.store_ms,
            other.lag_ms if self.lag_ms is None else self.lag_ms,
        )


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """How many are kept, as counted within the last minute, and how many ever had to leave for newer ones."""

    kept: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """All of it. `mode` is INGEST: with `off`, broker and threads are those of workers elsewhere (`workers`).

    `keeper`: whether the worker in this process is the keeper; with `off` there is none. `turn_s`: seconds since the
    worker's loop, or with `off` its reader's, came round; None while it brings the tables up to date. `resends`:
    messages that never arrived and are asked for again, as counted within the last minute.
    """

    mode: Literal["thread", "off"]
    started_at: int
    broker: BrokerHealth
    database: DatabaseHealth
    account: Account
    rates: Rates
    threads: tuple[ThreadHealth, ...] = ()
    workers: tuple[WorkerHealth, ...] = ()
    dead_letters: DeadLetters = DeadLetters()
    keeper: bool = False
    turn_s: float | None = None
    resends: ResendCounts = field(default_factory=ResendCounts)

    @property
    def can_store(self) -> bool:
        """Whether a reading that arrives now would be stored."""
        if self.database.state != "connected":
            return False
        return self.mode == "off" or (self.broker.state == "connected" and all(t.alive for t in self.threads))
