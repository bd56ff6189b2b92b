"""The snapshot where the workers run elsewhere (INGEST=off): one reader a process asks the database what changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from db import account, dead_letters, devices, leases, migrations, readings, resends, states, workers
from db.engine import Connection, DatabaseAway, Engine, facts, reading, writing
from ingest import restore
from ingest.board_watch import BoardWatch
from ingest.guard import guarded
from ingest.health import Account, Counts, Health, Rates, WorkerHealth
from ingest.ledger import account_of
from ingest.patience import Backoff, Stopped, until_it_works
from ingest.settling import Settler
from ingest.snapshot import AboutChange, Board, Change, ReadingChange, StateChange, StatusChange, apply
from ingest.vitals import Vitals, now_ms

log = logging.getLogger(__name__)

#: A worker whose last sign of life is older than this is not working.
SILENT_AFTER_MS = 10_000
#: `latest` rows are asked for again for this long, because transactions end in another order than they began.
_OVERLAP_MS = 3_000


@dataclass(frozen=True, slots=True)
class FollowerSettings:
    """Seconds between two looks at values, at devices, workers and the account, and at the dead letters."""

    values_s: float = 0.25
    rest_s: float = 1.0
    backoff: Backoff = field(default_factory=Backoff)
    #: Counting the dead letters reads a row for each of them.
    letters_s: float = 60.0
    #: Between two looks at commands and states.
    commands_s: float = 0.05
    #: Of the audit log, None where it is not to be had.
    audit_key: bytes | None = None


class Follower:
    """Has the face of the worker's service: `start()`, `stop()`, `health()`."""

    def __init__(self, engine: Engine, settings: FollowerSettings, board: Board, vitals: Vitals) -> None:
        self._engine = engine
        self._settings = settings
        self._board = board
        self._vitals = vitals
        self._started_at = now_ms()
        self._received_from = 0
        self._letters_at = 0.0
        self._account = Account()
        self._workers: tuple[WorkerHealth, ...] = ()
        self._lag_ms: int | None = None
        self._watch = BoardWatch(board, settings.rest_s)
        self._settler = Settler(settings.audit_key)
        self._states_from = 0
        self._nudged = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Start the thread. Returns at once; waiting for the database is the thread's."""
        self._thread.start()

    def stop(self, drain_s: float = 0.0, timeout_s: float = 5.0) -> None:
        """End the thread. There is nothing to drain: `drain_s` is there for the face it shares with the worker."""
        del drain_s
        self._stopping.set()
        self._nudged.set()
        self._thread.join(timeout_s)

    def nudge_commands(self) -> None:
        """Look at the commands at once: one was written. Quick, from any thread."""
        self._nudged.set()

    def health(self) -> Health:
        """How the workers are, as the database tells."""
        return Health(
            "off",
            self._started_at,
            self._vitals.broker,
            self._vitals.database,
            self._account,
            Rates(lag_ms=self._lag_ms),
            self._vitals.threads,
            self._workers,
            self._vitals.dead_letters,
            turn_s=self._vitals.turn_s,
            resends=self._vitals.resends,
        )

    def _run(self) -> None:
        guarded("follower", self._until_stopped, self._settings.backoff, self._stopping, self._vitals)

    def _until_stopped(self) -> None:
        try:
            while not self._stopping.is_set():
                self._follow()
        except Stopped:
            log.debug("Stopped while the database was away.")

    def _follow(self) -> None:
        """From one loss of the database to the next. Raises Stopped."""

        def lost(error: Exception) -> None:
            self._vitals.database_lost(str(error))

        until_it_works(self._open, DatabaseAway, self._settings.backoff, self._stopping, lost)
        rest_at = values_at = 0.0
        self._watch.begin()
        try:
            while not self._stopping.is_set():
                self._vitals.turned()
                with reading(self._engine) as connection:
                    changes = self._new_states(connection)
                    if time.monotonic() >= values_at:
                        changes += self._values(connection)
                        values_at = time.monotonic() + self._settings.values_s
                    if time.monotonic() >= rest_at:
                        changes += self._rest(connection)
                        rest_at = time.monotonic() + self._settings.rest_s
                    self._show(changes)  # before the commands: who hears that one is confirmed sees the state
                    self._follow_commands(connection)
                self._settler.settle(partial(writing, self._engine), now_ms())
                self._nudged.wait(self._settings.commands_s)
                self._nudged.clear()
        except DatabaseAway as away:
            self._vitals.database_lost(str(away))

    def _follow_commands(self, connection: Connection) -> None:
        broker = self._vitals.broker
        listening_since = broker.since if broker.state == "connected" else None
        if self._watch.look(connection, now_ms(), listening_since):
            self._settler.due = True

    def _new_states(self, connection: Connection) -> list[Change]:
        rows = states.changed(connection, self._states_from - _OVERLAP_MS)
        if rows:
            self._states_from = max(self._states_from, rows[-1].at)
        newest = {(row.device, row.actuator): row for row in rows}
        return [
            StateChange(row.device, row.actuator, row.state, row.at)
            for row in newest.values()
            if self._shown(row.device, row.actuator) != row.state
        ]

    def _shown(self, device: str, actuator: str) -> str | None:
        known = self._board.current.devices.get(device)
        now = known.actuators.get(actuator) if known is not None else None
        return now.state if now is not None else None

    def _show(self, changes: list[Change]) -> None:
        # `latest` has a series' newest value of each second: how many there were it doesn't tell.
        self._board.update(lambda current: apply(current, changes, every_reading=False))

    def _open(self) -> None:
        self._vitals.opening()
        migrations.apply(self._engine)
        with reading(self._engine) as connection:
            self._vitals.database_connected(facts(connection))
            self._board.update(lambda current: restore.snapshot(connection, current, now_ms()))
        self._states_from = now_ms()
        self._received_from = max(
            (
                series.received_at
                for device in self._board.current.devices.values()
                for series in device.metrics.values()
            ),
            default=0,
        )

    def _values(self, connection: Connection) -> list[Change]:
        rows = readings.changed_latest(connection, self._received_from - _OVERLAP_MS)
        if rows:
            self._received_from = max(self._received_from, rows[-1].received_at)
        return [
            ReadingChange(row.device, row.metric, row.ts, row.value, row.received_at)
            for row in rows
            if self._is_new(row)
        ]

    def _is_new(self, row: readings.LatestReading) -> bool:
        device = self._board.current.devices.get(row.device)
        series = device.metrics.get(row.metric) if device is not None else None
        return series is None or row.ts > series.ts

    def _rest(self, connection: Connection) -> list[Change]:
        counts = account.totals(connection)
        known = workers.every(connection)
        waiting = Account(
            Counts(waiting=sum(w.heartbeat.waiting for w in known)),
            Counts(waiting=sum(w.heartbeat.waiting_readings for w in known)),
        )
        self._account = sum((account_of(tally) for tally in counts.values()), waiting)
        keeper = leases.holder(connection, leases.KEEPER)
        fresh = None if keeper is None or keeper.age_ms > SILENT_AFTER_MS else keeper.token
        self._workers = tuple(
            WorkerHealth(
                w.heartbeat.name,
                w.age_ms,
                "stopped" if w.stopped else w.heartbeat.broker_state,
                w.heartbeat.token == fresh,
            )
            for w in known
        )
        lags = [w.heartbeat.lag_ms for w in known if w.age_ms < SILENT_AFTER_MS and w.heartbeat.lag_ms is not None]
        self._lag_ms = max(lags, default=None)
        self._judge_broker()
        if time.monotonic() >= self._letters_at:
            self._vitals.dead_letters_counted(dead_letters.count(connection), account.letters_removed(connection))
            self._vitals.resends_counted(resends.counts(connection))
            self._letters_at = time.monotonic() + self._settings.letters_s
        return [*self._abouts(connection), *self._statuses(connection), *self._states(connection)]

    def _judge_broker(self) -> None:
        """The broker is as well as the healthiest worker's connection to it."""
        alive = [w for w in self._workers if w.heartbeat_age_ms < SILENT_AFTER_MS and w.broker_state != "stopped"]
        if any(w.broker_state == "connected" for w in alive):
            self._vitals.broker_connected(None)
        elif alive:
            self._vitals.broker_lost("the workers are not connected to it")
        else:
            self._vitals.broker_lost("no worker is running; start one with: python -m ingest")

    def _abouts(self, connection: Connection) -> Iterable[Change]:
        units: dict[str, dict[str, str]] = {}
        for series in devices.every_series(connection):
            if series.unit is not None:
                units.setdefault(series.device, {})[series.metric] = series.unit
        actuators: dict[str, dict[str, str | None]] = {}
        for actuator in devices.every_actuator(connection):
            actuators.setdefault(actuator.device, {})[actuator.name] = actuator.unit
        for device in devices.every(connection):
            known = self._board.current.devices.get(device.name)
            of_units, of_actuators = units.get(device.name, {}), actuators.get(device.name, {})
            if (
                known is None
                or (known.model, known.firmware, known.units) != (device.model, device.firmware, of_units)
                or {name: a.unit for name, a in known.actuators.items()} != of_actuators
            ):
                yield AboutChange(device.name, device.model, device.firmware, of_units, of_actuators, device.last_seen)

    def _statuses(self, connection: Connection) -> Iterable[Change]:
        for device in devices.every(connection):
            known = self._board.current.devices.get(device.name)
            if device.online is None or device.status_at is None:
                continue
            if known is None or known.status_at is None or device.status_at > known.status_at:
                yield StatusChange(device.name, device.online, device.status_at)

    def _states(self, connection: Connection) -> Iterable[Change]:
        for actuator in devices.every_actuator(connection):
            device = self._board.current.devices.get(actuator.device)
            known = device.actuators.get(actuator.name) if device is not None else None
            if actuator.state is None or actuator.state_at is None:
                continue
            if known is None or known.state != actuator.state:
                yield StateChange(actuator.device, actuator.name, actuator.state, actuator.state_at)
