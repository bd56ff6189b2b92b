"""A worker with short times on real parts, and what its database holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import text

from db import account, dead_letters, engine, workers
from db.account import Tally
from db.dead_letters import DeadLetter
from db.workers import Worker as WorkerRow
from ingest.archive import HistorySettings
from ingest.broker_watch import BrokerWatch, watching
from ingest.command_sender import CommandSender
from ingest.dialects import topics
from ingest.health import Account, Health
from ingest.keeper import SUFFIX
from ingest.ledger import account_of
from ingest.patience import Backoff
from ingest.resend_plan import ResendSettings
from ingest.service import Service, WorkerSettings
from ingest.snapshot import Board, Snapshot
from ingest.subscriber import Mqtt5Subscriber, Subscriber, SubscriberSettings
from ingest.upkeep import UpkeepSettings
from ingest.vitals import Vitals, now_ms
from ingest.worker import sending
from settings import mask_password, parse_mqtt_url
from tests.parts.eventually import eventually

#: Of the audit log.
KEY = b"k" * 32
#: (device, metric, ts, value)
Row = tuple[str, str, int, float]


class Worker:
    """The service as `make_service` builds it, with times a test can wait for. `database` is the test's own engine."""

    def __init__(
        self,
        database_url: str,
        broker_url: str,
        root: str,
        *,
        name: str = "",
        subscriber: Callable[[SubscriberSettings], Subscriber] = Mqtt5Subscriber,
        keep_alive_s: int = 60,
        ca_file: Path | None = None,
        heartbeat_s: float = 0.1,
        flush_s: float = 0.05,
        timeout_s: float = 1.0,
        lock_wait_s: int = 10,
        dead_letters_max: int = 100_000,
        watch: bool = False,
        group: str = "",
        lease_s: float = 10.0,
        dead_after_s: float = 3600.0,
        history: HistorySettings | None = None,
        commands: bool = False,
        mqtt: Literal["auto", "5", "3.1.1"] = "auto",
        resends: ResendSettings | None = None,
    ) -> None:
        self.name = name or f"worker-{root}"
        self.database = engine.create(database_url, timeout_s=timeout_s, lock_wait_s=lock_wait_s)
        self.board = Board(Snapshot(now_ms(), 0, {}))
        address = parse_mqtt_url(broker_url)
        self.vitals = Vitals(str(address), mask_password(database_url), embedded=False)
        connection = SubscriberSettings(
            address,
            self.name,
            (f"$share/{group}/{root}/#",) if group else topics.filters(root),
            keep_alive_s=keep_alive_s,
            connect_timeout_s=1.0,
            ca_file=ca_file,
            former_filters=topics.filters(root) if group else (),
        )
        self.subscriber = subscriber(connection)
        second = replace(
            connection,
            client_id=f"{self.name}{SUFFIX}",
            filters=topics.report_filters(root),
            former_filters=(),
            persistent=False,
        )
        self.watch = BrokerWatch(watching(connection, "auto"), self.vitals, Backoff(0.02, 0.2), 0.2) if watch else None
        self.service = Service(
            self.database,
            self.subscriber,
            WorkerSettings(
                self.name,
                root,
                backoff=Backoff(0.02, 0.2),
                flush_s=flush_s,
                quiet_s=0.05,
                upkeep=UpkeepSettings(
                    heartbeat_s,
                    0.3,
                    dead_letters_max=dead_letters_max,
                    lease_s=lease_s,
                    dead_after_s=dead_after_s,
                    history=history or HistorySettings(),
                    resends=resends or ResendSettings(),
                ),
                audit_key=KEY,
            ),
            self.board,
            self.vitals,
            reports=subscriber(second) if group else None,
            watch=self.watch,
            sender=CommandSender(sending(connection), mqtt) if commands else None,
        )

    @property
    def health(self) -> Health:
        return self.service.health()

    def start(self) -> None:
        """Start without waiting for anything."""
        self.service.start()

    def connected(self) -> None:
        """Wait until broker and database are there."""
        eventually(lambda: self.health.can_store, what="a connected worker")

    def stop(self, drain_s: float = 0.0) -> None:
        self.service.stop(drain_s)

    def wait_for(self, messages: int) -> None:
        """Wait until so many messages, over all starts of this worker, are stored, duplicate or rejected."""
        eventually(lambda: settled(self.health.account) >= messages, what=f"{messages} settled messages")

    def check_account(self) -> Tally:
        """The account of this worker, once it was checked against memory and tables. Other workers have none here."""
        held = self.agreed()
        assert held.tally.readings_stored == len(held.rows)
        return held.tally

    def agreed(self) -> Held:
        """What the database holds, once this worker's account stands there as in memory."""
        held = eventually(self._agreed, what="an account in memory as in the database")
        assert held is not None
        return held

    def _agreed(self) -> Held | None:
        held = self.held()
        return held if self.health.account == account_of(held.tally) else None

    def row(self) -> WorkerRow | None:
        """What the database knows of this worker."""
        with engine.reading(self.database) as connection:
            return next((row for row in workers.every(connection) if row.heartbeat.name == self.name), None)

    def flushed(self) -> bool:
        """Whether anything stands in `latest`."""
        with engine.reading(self.database) as connection:
            return bool(connection.scalar(text("SELECT COUNT(*) FROM latest")))

    def held(self) -> Held:
        """What the database holds now."""
        with engine.reading(self.database) as connection:
            tallies = account.totals(connection)
            rows = connection.execute(
                text(
                    "SELECT d.name, s.metric, r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id "
                    "JOIN devices d ON d.id = s.device_id ORDER BY d.name, s.metric, r.ts"
                )
            )
            return Held(
                [(row[0], row[1], row[2], row[3]) for row in rows],
                [stored.letter for stored in reversed(dead_letters.newest(connection, 1000))],
                sum((tallies.get(part, Tally()) for part in (self.name, f"{self.name}{SUFFIX}")), Tally()),
            )


@dataclass(frozen=True, slots=True)
class Held:
    """All readings, all dead letters (oldest first), and the worker's account."""

    rows: list[Row]
    letters: list[DeadLetter]
    tally: Tally

    def values(self, device: str, metric: str = "v") -> list[float]:
        """Values of one series, by time."""
        return [row[3] for row in self.rows if row[:2] == (device, metric)]


def settled(found: Account) -> int:
    """Messages that are no longer waiting."""
    return found.messages.received - found.messages.waiting
