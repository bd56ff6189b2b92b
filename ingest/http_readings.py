"""Readings that devices bring by HTTP: through the same dialect and the same writer as MQTT's, by a thread of its own.

The device is the queue: a request is answered only when its readings are committed, and where they can't be it is told
to send them again. So little waits here, and what waits has bounds. In the account it is a worker of its own, `<client
id>-http`, because a batch's number says whose it is, and the worker that takes MQTT may run elsewhere.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from db import account, devices, migrations, readings
from db.account import Tally
from db.engine import DatabaseAway, DatabaseError, Engine, reading, writing
from ingest.dialects import native, topics
from ingest.dialects.decoded import Decoded
from ingest.guard import guarded
from ingest.health import Account, Counts, Health
from ingest.ledger import Ledger
from ingest.message import Message
from ingest.outcome import Outcome
from ingest.outdated import without_outdated
from ingest.patience import Backoff, Stopped, until_it_works
from ingest.placement import Verdict
from ingest.series import Point
from ingest.snapshot import Board, Read, ReadingsChange, apply
from ingest.vitals import Vitals, now_ms
from ingest.writer import Writer

log = logging.getLogger(__name__)

#: What it is called in the account: the server's client id and this.
SUFFIX: Final = "-http"
#: The thread, and who it is to `Vitals`.
THREAD: Final = "http-readings"
#: How often, and for how many seconds, a batch is tried where the database is well and somebody is in its way.
_TRIES: Final = 3
_TRIES_S: Final = 2.0
#: Until more of the account is folded, in seconds, where one transaction was not enough.
_NEXT_FOLD_S: Final = 0.1


class Busy(Exception):
    """More waits than there is room for. Nothing of this request was taken; it may come again in a second."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How it works. `worker` is the server's client id, times are seconds; tests make them small."""

    worker: str
    topic_root: str
    largest_payload: int = 1_000_000
    backoff: Backoff = field(default_factory=Backoff)
    #: `latest` is written at most this often.
    flush_s: float = 1.0
    fold_s: float = 60.0
    #: What may wait: requests, and bytes of them together. One alone is always taken, however large.
    waiting_requests: int = 1_000
    waiting_bytes: int = 32_000_000
    #: What goes into one transaction.
    batch_requests: int = 500
    batch_bytes: int = 4_000_000
    #: Whether the snapshot tells how many readings a minute a device sends, which takes all of them.
    every_reading: bool = True
    #: RETENTION_RAW_DAYS.
    raw_days: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A message that waits, and where its answer goes. Who has stopped waiting for it cancels that."""

    message: Message
    answer: Future[Verdict]


@dataclass(frozen=True, slots=True)
class _Hand:
    """The batch that is being stored: the requests, and how many readings each has."""

    requests: Sequence[_Request] = ()
    readings: Sequence[int] = ()


class HttpReadings:
    """Make it, `start()`, and later `stop()`. Any thread submits; one stores."""

    def __init__(
        self,
        engine: Engine,
        settings: HttpSettings,
        board: Board,
        vitals: Vitals,
        reported: Callable[[], None] = lambda: None,
    ) -> None:
        """`reported` is called when a state is stored, which may have ended a command."""
        self._engine, self._settings = engine, settings
        self._board, self._vitals = board, vitals
        self._reported = reported
        self._name, self._token = f"{settings.worker}{SUFFIX}", secrets.token_hex(8)
        self._writer = Writer(engine, self._name, self._token, verdicts=True)
        self._ledger = Ledger()
        self._change = threading.Condition()
        self._queue: deque[_Request] = deque()
        self._queued_bytes = 0
        #: Why nothing can be taken now, None if it can.
        self._away: str | None = "it has not been reached yet"
        self._hand = _Hand()
        self._unflushed: dict[tuple[str, str], Point] = {}
        #: UTC ms of the last message of each device, until it stands in `last_seen`.
        self._seen: dict[str, int] = {}
        self._flush_at = self._fold_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)

    def start(self) -> None:
        """Start the thread. Returns at once; waiting for the database is the thread's."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Take no more, store what waits, end the thread. Harmless twice, and before the start."""
        self._stopping.set()
        with self._change:
            self._change.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def submit(self, device: str, payload: bytes) -> Future[Verdict]:
        """Take what a device sent, the same as its `telemetry`. The answer comes once it is committed.

        Cancel it to wait no longer: what was not begun by then is not stored. It fails with DatabaseAway if nothing of
        the message was stored for certain, or nothing is known of it; to send it again is right either way.

        Raises:
            DatabaseAway: If the database is away already. Nothing was taken.
            Busy: If too much waits. Nothing was taken.
            UnknownTopic: If that is no name of a device.
        """
        return self._submit(topics.telemetry(device, self._settings.topic_root), payload)

    def submit_state(self, device: str, actuator: str, payload: bytes) -> Future[Verdict]:
        """Take what a device reports of an actuator, the same as on its `<actuator>/state`. Else as `submit`."""
        return self._submit(topics.state(device, actuator, self._settings.topic_root), payload)

    def _submit(self, topic: str, payload: bytes) -> Future[Verdict]:
        request = _Request(Message(topic, payload, len(payload), now_ms()), Future())
        with self._change:
            if self._stopping.is_set():
                raise DatabaseAway("this server is about to end")
            if self._away is not None:
                raise DatabaseAway(self._away)
            full = self._queued_bytes + len(payload) > self._settings.waiting_bytes
            if self._queue and (full or len(self._queue) >= self._settings.waiting_requests):
                raise Busy("more readings wait to be stored than there is room for")
            self._queue.append(request)
            self._queued_bytes += len(payload)
            self._change.notify()
        return request.answer

    @property
    def account(self) -> Account:
        """What was stored over all starts, and waits in hand; not what somebody was told to send again."""
        known, hand = self._ledger.account, self._hand
        given_up = [number for number, request in enumerate(hand.requests) if request.answer.cancelled()]
        if not given_up:
            return known
        messages = max(0, known.messages.waiting - len(given_up))
        left = max(0, known.readings.waiting - sum(hand.readings[number] for number in given_up))
        return Account(replace(known.messages, waiting=messages), replace(known.readings, waiting=left))

    def joined_to(self, health: Health) -> Health:
        """The health of the process with this one's part. With INGEST=off the database's sums hold what is stored."""
        mine = self.account
        if health.mode == "off":
            mine = Account(Counts(waiting=mine.messages.waiting), Counts(waiting=mine.readings.waiting))
            return replace(health, account=health.account + mine)
        return replace(health, account=health.account + mine, rates=health.rates + self._ledger.rates(now_ms()))

    # The thread

    def _run(self) -> None:
        guarded(THREAD, self._until_stopped, self._settings.backoff, self._stopping, self._vitals)

    def _until_stopped(self) -> None:
        try:
            while not self._stopping.is_set():
                until_it_works(self._open, DatabaseAway, self._settings.backoff, self._stopping, self._lost)
                try:
                    self._take_requests()
                except DatabaseAway as away:
                    self._lost(away)
        except Stopped:
            log.debug("Stopped while the database was away.")
        finally:
            self._refuse("the thread that stores readings from HTTP ended")

    def _open(self) -> None:
        """Learn what is there, and forget a batch whose end was not heard of. Raises DatabaseAway."""
        migrations.apply(self._engine)
        self._writer.load()
        with reading(self._engine) as connection:
            self._ledger.load(account.totals(connection).get(self._name, Tally()))
        self._vitals.database_connected(by=THREAD)

    def _lost(self, error: Exception) -> None:
        self._refuse(str(error))
        self._vitals.database_lost(str(error), by=THREAD)

    def _refuse(self, why: str) -> None:
        """Take nothing from now on, and tell all who wait."""
        with self._change:
            self._away = why
            waiting, self._queued_bytes = list(self._queue), 0
            self._queue.clear()
        _fail(waiting, DatabaseAway(why))

    def _take_requests(self) -> None:
        """Store what comes until told to stop. Raises DatabaseAway."""
        with self._change:
            self._away = None
        self._fold_at = time.monotonic() + self._settings.fold_s
        while True:
            ending = self._stopping.is_set()
            batch = self._next(0.0 if ending else self._idle_s())
            if batch:
                self._store(batch)
            elif ending:
                self._leave()
                return
            self._keep_house()

    def _next(self, timeout_s: float) -> list[_Request]:
        """All that waits, as far as one transaction takes it; nothing if nothing comes in time, or at the stop."""
        settings = self._settings
        batch: list[_Request] = []
        size = 0
        with self._change:
            if not self._queue and not self._stopping.is_set():
                self._change.wait(timeout_s)
            while self._queue and len(batch) < settings.batch_requests:
                next_size = self._queue[0].message.size
                if batch and size + next_size > settings.batch_bytes:
                    break
                request = self._queue.popleft()
                self._queued_bytes -= next_size
                if not request.answer.cancelled():
                    batch.append(request)
                    size += next_size
        return batch

    def _store(self, batch: Sequence[_Request]) -> None:
        decoded = [self._understand(request.message) for request in batch]
        received_at = batch[0].message.received_at
        self._hand = _Hand(batch, [one.readings for one in decoded])
        self._ledger.hold(len(batch), sum(self._hand.readings), received_at)
        try:
            outcome = self._until_stored(decoded)
        except BaseException as error:
            # Cancelled first: nothing that was answered so may stand in the account as waiting, however briefly.
            self._ledger.drop()
            _fail(batch, error if isinstance(error, DatabaseAway) else DatabaseAway("the server made a mistake"))
            raise
        finally:
            self._hand = _Hand()
        self._ledger.settle(outcome.tally, received_at, now_ms())
        self._vitals.database_connected(by=THREAD)
        every = self._settings.every_reading
        self._board.update(lambda current: apply(current, outcome.changes, every_reading=every))
        self._note(outcome)
        if outcome.reports:
            self._reported()
        for request, verdict in zip(batch, outcome.verdicts, strict=True):
            with suppress(InvalidStateError):  # nobody waits for it any more
                request.answer.set_result(verdict)

    def _understand(self, message: Message) -> Decoded:
        try:
            decoded = native.decode(message, self._settings.topic_root, self._settings.largest_payload)
        except Exception as error:
            # A dialect never raises; one that does must not hold up everything behind this message.
            log.exception("The message on %s can't be decoded, it becomes a dead letter.", message.topic)
            return Decoded(message, problems=(f"it can't be decoded: {type(error).__name__}",))
        if decoded is None:
            return Decoded(message, problems=("it is a command, which is not stored",))
        return without_outdated(decoded, self._settings.raw_days, message.received_at)

    def _until_stored(self, decoded: Sequence[Decoded]) -> Outcome:
        """Store it; once more where somebody was in the way, not where the database is away. Raises DatabaseAway."""
        until = time.monotonic() + _TRIES_S
        for _ in range(_TRIES - 1):
            try:
                return self._writer.store(decoded, now_ms())
            except DatabaseAway as away:
                if time.monotonic() > until:
                    raise
                log.debug("A batch from HTTP is tried again: %s", away)
        return self._writer.store(decoded, now_ms())

    # What others read

    def _note(self, outcome: Outcome) -> None:
        """Remember the newest reading of each series until it stands in `latest`, and when each device was heard."""
        for change in outcome.changes:
            at = change.received_at if isinstance(change, Read) else change.at
            self._seen[change.device] = max(at, self._seen.get(change.device, 0))
            if isinstance(change, ReadingsChange):
                for ts, values, received_at in change.measured:
                    for metric, value in values:
                        known = self._unflushed.get((change.device, metric))
                        if known is None or ts >= known[0]:
                            self._unflushed[change.device, metric] = (ts, value, received_at)

    def _idle_s(self) -> float:
        """Until there is something to do without a request."""
        due = min(self._flush_at, self._fold_at) if self._seen else self._fold_at
        return max(0.0, due - time.monotonic())

    def _keep_house(self) -> None:
        now = time.monotonic()
        if self._seen and now >= self._flush_at:
            self._flush_at = now + self._settings.flush_s
            self._flush()
        if now >= self._fold_at:
            self._fold_at = now + (_NEXT_FOLD_S if self._fold() else self._settings.fold_s)

    def _flush(self) -> None:
        """Write what is new to `latest` and to the devices' `last_seen`. Raises DatabaseAway."""
        rows = [
            (series_id, *point)
            for (device, metric), point in self._unflushed.items()
            if (series_id := self._writer.series_id(device, metric)) is not None
        ]
        with writing(self._engine) as connection:
            readings.store_latest(connection, rows)
            ids = self._writer.device_ids(connection, list(self._seen))
            devices.store_last_seen(connection, {ids[name]: at for name, at in self._seen.items()})
        self._unflushed.clear()
        self._seen.clear()

    def _fold(self) -> bool:
        """Add up some of what was counted, in one short transaction; whether more is left. Raises DatabaseAway."""
        with writing(self._engine) as connection:
            return account.fold(connection, self._name, self._token) > 0

    def _leave(self) -> None:
        """Leave the tables tidy. What can't be done is so at the next start, or by whoever reads them."""
        with suppress(DatabaseError):
            self._flush()
            self._fold()


def _fail(requests: Sequence[_Request], error: DatabaseAway) -> None:
    for request in requests:
        with suppress(InvalidStateError):
            request.answer.set_exception(error)
