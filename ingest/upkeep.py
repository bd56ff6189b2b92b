"""Keeps house: a sign of life every two seconds; every minute the account folded, old receipts and letters removed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from db import account, dead_letters, receipts, workers
from db.engine import DatabaseAway, DatabaseError, Engine, reading, writing
from db.workers import Heartbeat
from ingest.vitals import Vitals, now_ms

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpkeepSettings:
    """How often, in seconds, and how many dead letters stay."""

    heartbeat_s: float = 2.0
    fold_s: float = 60.0
    dead_letters_max: int = 100_000


class Upkeep:
    """One thread runs it; it touches the database only, each task in a transaction of its own."""

    def __init__(
        self, engine: Engine, settings: UpkeepSettings, vitals: Vitals, heartbeat: Callable[[], Heartbeat]
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._vitals = vitals
        self._heartbeat = heartbeat

    def run(self, ready: threading.Event, stop: threading.Event) -> None:
        """Until `stop`, from the moment the tables are `ready`."""
        while not ready.wait(self._settings.heartbeat_s):
            if stop.is_set():
                return
        fold_at = time.monotonic() + self._settings.fold_s
        while not stop.is_set():
            try:
                self._beat()
                if time.monotonic() >= fold_at:
                    self.tidy()
                    fold_at = time.monotonic() + self._settings.fold_s
            except DatabaseAway as away:
                self._vitals.database_lost(str(away), by="upkeep")
            stop.wait(self._settings.heartbeat_s)

    def tidy(self) -> None:
        """Fold the account, remove what is past its time. Raises DatabaseAway."""
        worker = self._heartbeat()
        with writing(self._engine) as connection:
            account.fold(connection, worker.name, worker.token)
        with writing(self._engine) as connection:
            receipts.prune(connection, now_ms())
        self._trim_dead_letters(worker.name)
        with reading(self._engine) as connection:
            self._vitals.dead_letters_counted(dead_letters.count(connection), account.letters_removed(connection))

    def _trim_dead_letters(self, worker: str) -> None:
        with writing(self._engine) as connection:
            removed = dead_letters.trim(connection, self._settings.dead_letters_max)
            account.count_letters_removed(connection, worker, removed, now_ms())
        if removed:
            log.warning(
                "The %d oldest dead letters had to leave: there were more than DEAD_LETTERS_MAX (%d), or than 256 MiB. "
                "What they held is gone. See why so many messages can't be understood: python -m ingest replay --list",
                removed,
                self._settings.dead_letters_max,
            )

    def farewell(self) -> None:
        """Fold a last time and write that this worker ended."""
        last = self._heartbeat()
        try:
            with writing(self._engine) as connection:
                account.fold(connection, last.name, last.token)
                workers.stop(connection, last.name, last.token)
        except DatabaseError as error:
            log.warning("The database does not learn that this worker ended: %s", error)

    def _beat(self) -> None:
        with writing(self._engine) as connection:
            workers.beat(connection, self._heartbeat())
        self._vitals.database_connected(by="upkeep")
