"""What takes readings from HTTP, with short times on a real database, and what that holds."""

from __future__ import annotations

import json
from concurrent.futures import Future
from typing import Any

from sqlalchemy import text

from db import account, dead_letters, engine
from db.account import Tally
from db.dead_letters import DeadLetter
from ingest.health import Account, Health, Rates
from ingest.http_readings import HttpReadings, HttpSettings
from ingest.ledger import account_of
from ingest.patience import Backoff
from ingest.placement import Verdict
from ingest.snapshot import Board, Snapshot
from ingest.vitals import Vitals, now_ms
from tests.parts.eventually import eventually

ROOT = "iot"


class Desk:
    """`HttpReadings` on this database, and its own engine to look with."""

    def __init__(self, database_url: str, *, name: str = "w", root: str = ROOT, **settings: Any) -> None:
        self.name = f"{name}-http"
        self.engine = engine.create(database_url, timeout_s=1.0)
        self.board = Board(Snapshot(now_ms(), 0, {}))
        self.vitals = Vitals("mqtt://elsewhere", "the database", embedded=False)
        times: dict[str, Any] = {"backoff": Backoff(0.02, 0.2), "flush_s": 0.05, "fold_s": 0.3}
        self.http = HttpReadings(self.engine, HttpSettings(name, root, **times | settings), self.board, self.vitals)

    def start(self) -> None:
        """Start, without waiting for the database."""
        self.http.start()

    def open(self) -> None:
        """Wait until it takes readings."""
        eventually(lambda: self.vitals.database.state == "connected", what="a database that was opened")

    def stop(self) -> None:
        self.http.stop()

    def send(self, payload: Any, device: str = "kitchen") -> Future[Verdict]:
        """What a device posts: bytes, or a document."""
        return self.http.submit(device, payload if isinstance(payload, bytes) else json.dumps(payload).encode())

    def told(self, payload: Any, device: str = "kitchen") -> Verdict:
        """The answer to what a device posts."""
        return self.send(payload, device).result(20)

    def health(self, mode: Any = "thread", held: Account | None = None) -> Health:
        """The process's health beside a worker whose own account is `held`."""
        vitals = self.vitals
        told = Health(mode, 1, vitals.broker, vitals.database, held or Account(), Rates(), vitals.threads)
        return self.http.joined_to(told)

    def check_account(self) -> Tally:
        """Its account, once memory and database agree on it, and its readings are as many as there are rows."""
        tally = self.tally()
        assert self.http.account == account_of(tally)
        assert tally.readings_stored == len(self.rows())
        return tally

    def tally(self) -> Tally:
        with engine.reading(self.engine) as connection:
            return account.totals(connection).get(self.name, Tally())

    def rows(self) -> list[tuple[str, str, int, float]]:
        """All readings: device, metric, ts, value."""
        with engine.reading(self.engine) as connection:
            found = connection.execute(
                text(
                    "SELECT d.name, s.metric, r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id "
                    "JOIN devices d ON d.id = s.device_id ORDER BY d.name, s.metric, r.ts"
                )
            )
            return [(row[0], row[1], row[2], row[3]) for row in found]

    def letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        with engine.reading(self.engine) as connection:
            return [stored.letter for stored in reversed(dead_letters.newest(connection, 1000))]

    def count(self, table: str, condition: str = "1 = 1") -> int:
        with engine.reading(self.engine) as connection:
            return int(connection.scalar(text(f"SELECT COUNT(*) FROM {table} WHERE {condition}")) or 0)
