"""Keeps house: a sign of life every two seconds; every minute the account folded, old receipts and letters removed.

The sign of life and the folding of its own batches are every worker's; the rest is the keeper's, for all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from db import account, dead_letters, receipts, workers
from db.engine import Connection, DatabaseAway, DatabaseError, Engine, reading, writing
from db.leases import LeaseLost
from db.workers import Heartbeat
from ingest.keeper import SUFFIX, Keeper
from ingest.vitals import Vitals, now_ms

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpkeepSettings:
    """How often, in seconds, and how many dead letters stay."""

    heartbeat_s: float = 2.0
    fold_s: float = 60.0
    dead_letters_max: int = 100_000
    #: A keeper that was not heard of for this long has lost its place.
    lease_s: float = 10.0
    #: A worker that was not heard of for this long is dead, and what it left in the account is folded for it.
    dead_after_s: float = 3600.0


class Upkeep:
    """One thread runs it; it touches the database only, each task in a transaction of its own."""

    def __init__(
        self,
        engine: Engine,
        settings: UpkeepSettings,
        vitals: Vitals,
        heartbeat: Callable[[], Heartbeat],
        keeper: Keeper,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._vitals = vitals
        self._heartbeat = heartbeat
        self._keeper = keeper

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
        """Fold the account and, as the keeper, remove what is past its time. Raises DatabaseAway."""
        worker = self._heartbeat()
        self._fold(worker.name, worker.token)
        if self._keeper.holds:
            try:
                self._tidy_for_all()
            except LeaseLost:
                self._keeper.lost()
        with reading(self._engine) as connection:
            self._vitals.dead_letters_counted(dead_letters.count(connection), account.letters_removed(connection))

    def farewell(self) -> None:
        """Fold a last time, write that this worker ended, and let another be the keeper at once."""
        last = self._heartbeat()
        try:
            self._fold(last.name, last.token)
            with writing(self._engine) as connection:
                workers.stop(connection, last.name, last.token)
                self._keeper.release(connection)
        except DatabaseError as error:
            log.warning("The database does not learn that this worker ended: %s", error)

    def _fold(self, name: str, token: str | None) -> None:
        self._fold_all(name, token, lambda: writing(self._engine))

    def _fold_all(
        self, name: str, token: str | None, transaction: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        """In short transactions: who wants to write waits for one of them."""
        for part in (name, f"{name}{SUFFIX}"):
            folded = account.FOLDED_AT_ONCE
            while folded == account.FOLDED_AT_ONCE:
                with transaction() as connection:
                    folded = account.fold(connection, part, token)

    def _tidy_for_all(self) -> None:
        """Each task in a transaction that only the keeper can commit. Raises DatabaseAway, LeaseLost."""
        with self._as_keeper() as connection:
            receipts.prune(connection, now_ms())
        self._trim_dead_letters()
        with reading(self._engine) as connection:
            silent = workers.silent(connection, round(self._settings.dead_after_s * 1000))
        for name in silent:
            self._fold_all(name, None, self._as_keeper)

    def _trim_dead_letters(self) -> None:
        with self._as_keeper() as connection:
            removed = dead_letters.trim(connection, self._settings.dead_letters_max)
            account.count_letters_removed(connection, self._heartbeat().name, removed, now_ms())
        if removed:
            log.warning(
                "The %d oldest dead letters had to leave: there were more than DEAD_LETTERS_MAX (%d), or than 256 MiB. "
                "What they held is gone. See why so many messages can't be understood: python -m ingest replay --list",
                removed,
                self._settings.dead_letters_max,
            )

    @contextmanager
    def _as_keeper(self) -> Iterator[Connection]:
        with writing(self._engine) as connection:
            self._keeper.fence(connection)
            yield connection

    def _beat(self) -> None:
        asked_at = time.monotonic()
        with writing(self._engine) as connection:
            workers.beat(connection, self._heartbeat())
            keeps = self._keeper.beat(connection)
        self._keeper.settle(keeps, asked_at)
        self._vitals.database_connected(by="upkeep")
