"""Keeps house: a sign of life every two seconds, and what was asked to be deleted removed; every minute the account
folded, what never arrived noted to be asked for again, old receipts, letters and commands removed, days that are over
sealed.

The sign of life and the folding of its own batches are every worker's; the rest is the keeper's, for all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from db import account, dead_letters, ended_commands, receipts, removal, resends, sealing, states, workers
from db.engine import Connection, DatabaseAway, DatabaseError, Engine, reading, writing
from db.leases import LeaseLost
from db.packing import DAY_MS
from db.workers import Heartbeat
from ingest.archive import Archive, HistorySettings
from ingest.keeper import SUFFIX, Keeper
from ingest.resend_plan import ResendSettings
from ingest.resend_upkeep import ResendUpkeep
from ingest.vitals import Vitals, now_ms

log = logging.getLogger(__name__)

_Transaction = Callable[[], AbstractContextManager[Connection]]

#: How long an ending worker goes on folding.
_FAREWELL_S: Final = 1.0
#: Between two transactions others have as long as the last one took, and no longer than this.
_LONGEST_PAUSE_S: Final = 0.1
#: How long commands that have ended stay; the audit log has them for ever.
_COMMANDS_KEPT_MS: Final = 366 * DAY_MS


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
    history: HistorySettings = field(default_factory=HistorySettings)
    resends: ResendSettings = field(default_factory=ResendSettings)


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
        self._archive = Archive(engine, self._as_keeper, settings.history, keeper.worker)
        self._resends = ResendUpkeep(engine, self._as_keeper, settings.resends)
        self._stop = threading.Event()

    def run(self, ready: threading.Event, stop: threading.Event) -> None:
        """Until `stop`, from the moment the tables are `ready`."""
        while not ready.wait(self._settings.heartbeat_s):
            if stop.is_set():
                return
        self._stop = stop
        fold_at = seal_at = time.monotonic() + self._settings.fold_s
        while not stop.is_set():
            pause = self._settings.heartbeat_s
            try:
                self._beat()
                if time.monotonic() >= fold_at:
                    if self.tidy():
                        fold_at = time.monotonic() + self._settings.fold_s
                    else:
                        pause = 0.0  # but for the sign of life, on with it
                if self._keeper.holds and not self.remove():
                    pause = 0.0
                if time.monotonic() >= seal_at and self._keeper.holds:
                    if self.put_away():
                        seal_at = time.monotonic() + self._settings.fold_s
                    else:
                        pause = 0.0
            except DatabaseAway as away:
                self._vitals.database_lost(str(away), by="upkeep")
            stop.wait(pause)

    def tidy(self) -> bool:
        """Fold the account and, as the keeper, remove what is past its time; False if more is left to fold.

        Raises DatabaseAway.
        """
        worker = self._heartbeat()
        until = time.monotonic() + self._settings.heartbeat_s
        folded = self._fold(worker.name, worker.token, self._writing, until)
        if folded and self._keeper.holds:
            try:
                folded = self._tidy_for_all(until)
            except LeaseLost:
                self._keeper.lost()
        with reading(self._engine) as connection:
            self._vitals.dead_letters_counted(dead_letters.count(connection), account.letters_removed(connection))
            self._vitals.resends_counted(resends.counts(connection))
        return folded

    def put_away(self) -> bool:
        """Seal, merge and remove, as the keeper; False if more is left to do. Raises DatabaseAway."""
        try:
            return self._archive.work(time.monotonic() + self._settings.heartbeat_s, self._stop)
        except LeaseLost:
            self._keeper.lost()
            return True

    def remove(self) -> bool:
        """Go on with devices that are being deleted, as the keeper; False if more is left. Raises DatabaseAway."""
        until = time.monotonic() + self._settings.heartbeat_s
        counts_as = f"{self._keeper.worker}{sealing.MOVES}"
        try:
            began = time.monotonic()
            for _ in removal.work(self._engine, self._as_keeper, counts_as, now_ms()):
                if self._stop.is_set() or time.monotonic() >= until:
                    return False
                self._stop.wait(min(time.monotonic() - began, _LONGEST_PAUSE_S))
                began = time.monotonic()
        except LeaseLost:
            self._keeper.lost()
        return True

    def farewell(self) -> None:
        """Fold a last time, write that this worker ended, and let another be the keeper at once.

        What can't be folded in time is so after the next start, or by the keeper.
        """
        last = self._heartbeat()
        try:
            self._fold(last.name, last.token, self._writing, time.monotonic() + _FAREWELL_S)
            with writing(self._engine) as connection:
                workers.stop(connection, last.name, last.token)
                self._keeper.release(connection)
        except DatabaseError as error:
            log.warning("The database does not learn that this worker ended: %s", error)

    def _writing(self) -> AbstractContextManager[Connection]:
        return writing(self._engine)

    def _fold(self, name: str, token: str | None, transaction: _Transaction, until: float) -> bool:
        """Fold a worker's rows in short transactions, with time for others between them; whether all are folded.

        `until`: monotonic seconds, after which no other transaction begins.
        """
        for part in (name, f"{name}{SUFFIX}"):
            left = True
            while left:
                began = time.monotonic()
                if began >= until:
                    return False
                with transaction() as connection:
                    left = account.fold(connection, part, token) > 0
                self._stop.wait(min(time.monotonic() - began, _LONGEST_PAUSE_S))
        return True

    def _tidy_for_all(self, until: float) -> bool:
        """Each task in a transaction that only the keeper can commit; False if more is left to fold.

        Raises DatabaseAway, LeaseLost.
        """
        with self._as_keeper() as connection:
            receipts.prune(connection, now_ms())
        self._prune_control()
        self._trim_dead_letters()
        with reading(self._engine) as connection:
            silent = workers.silent(connection, round(self._settings.dead_after_s * 1000))
        folded = all(self._fold(name, None, self._as_keeper, until) for name in silent)
        if folded:  # else a number may seem to be missing that is here
            self._resends.work(now_ms())
        return folded

    def _prune_control(self) -> None:
        now, raw_days = now_ms(), self._settings.history.raw_days
        with self._as_keeper() as connection:
            ended_commands.prune(connection, now - _COMMANDS_KEPT_MS)
        if raw_days is not None:
            with self._as_keeper() as connection:
                states.prune(connection, now - raw_days * DAY_MS)

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
