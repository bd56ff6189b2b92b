"""The worker: starts, stops and knows its threads. Its loop: receive, decode, store, acknowledge.

The broker is the queue. Nothing is acknowledged before it is committed, and while the batch in hand is not, one more is
received and no third: so memory is bounded, and whatever breaks, what was not stored comes again.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from db import account, dead_letters, migrations
from db.engine import DatabaseAway, Engine, facts, writing
from db.workers import Heartbeat
from ingest import dispatcher, restore
from ingest.arrived import Arrived
from ingest.broker_watch import THREAD as WATCH
from ingest.broker_watch import BrokerWatch
from ingest.command_sender import CommandSender
from ingest.dialects import native, topics
from ingest.dialects.decoded import Decoded, count_readings
from ingest.dispatcher import Dispatcher, DispatcherSettings
from ingest.guard import guarded
from ingest.health import Account, Health, Rates
from ingest.keeper import SUFFIX, Keeper
from ingest.lag import lag_ms
from ingest.latest import THREAD as LATEST
from ingest.latest import Latest
from ingest.ledger import Ledger
from ingest.message import Message
from ingest.outdated import without_outdated
from ingest.patience import Backoff, Stopped, until_it_works
from ingest.reports import THREAD as REPORTS
from ingest.reports import Reports, ReportSettings
from ingest.showing import Showing
from ingest.snapshot import Board
from ingest.subscriber import BrokerAway, Subscriber
from ingest.upkeep import Upkeep, UpkeepSettings
from ingest.vitals import Vitals, now_ms
from ingest.writer import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

#: A batch of fewer messages, received while the database worked, is joined by what has come since: each would wait for
#: two commits otherwise. A large one is not, or there would be nothing left to receive meanwhile.
_SMALL: Final = 500


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How the worker works. Times are seconds; tests make them small."""

    name: str
    topic_root: str
    largest_payload: int = 1_000_000
    backoff: Backoff = field(default_factory=Backoff)
    #: `latest` is written at most this often.
    flush_s: float = 1.0
    #: While the backlog of a large fleet is worked off, the board is renewed this seldom.
    show_s: float = 0.5
    #: A broker that is silent this long while we drain has nothing left for us.
    quiet_s: float = 0.5
    upkeep: UpkeepSettings = field(default_factory=UpkeepSettings)
    #: Of the audit log, None where it is not to be had.
    audit_key: bytes | None = None


class Service:
    """One worker. Make it, `start()`, and later `stop()`; it can't be started twice.

    `reports`: the keeper's own connection for status, about and state, where telemetry is shared among workers; None
    where everything comes by the one connection. `sender`: the connection for commands; None: it sends none.
    """

    def __init__(  # noqa: PLR0913  # its connections, each with a purpose of its own
        self,
        engine: Engine,
        subscriber: Subscriber,
        settings: WorkerSettings,
        board: Board,
        vitals: Vitals,
        *,
        reports: Subscriber | None = None,
        watch: BrokerWatch | None = None,
        sender: CommandSender | None = None,
    ) -> None:
        self._engine = engine
        self._subscriber = subscriber
        self._settings = settings
        self._board = board
        self._vitals = vitals
        self._raw_days = settings.upkeep.history.raw_days
        self._token = secrets.token_hex(8)
        self._started_at = now_ms()
        self._watch = watch
        self._ledger = Ledger()
        self._writer = Writer(engine, settings.name, self._token, meanwhile=self._look_ahead, newest=self._newest)
        self._keeper = Keeper(settings.name, self._token, settings.upkeep.lease_s)
        self._upkeep = Upkeep(engine, settings.upkeep, vitals, self._heartbeat, self._keeper)
        self._dispatcher = None if sender is None else self._make_dispatcher(sender)
        self._reports = None if reports is None else self._make_reports(reports)
        self._latest = Latest(engine, board, self._writer, vitals, settings.flush_s)
        self._ahead: Arrived | None = None
        self._showing = Showing(board, settings.show_s, self.nudge_commands)
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._drain_until = 0.0
        runs: dict[str, Callable[[], None]] = {
            "ingest": self._ingest,
            LATEST: self._keep_latest,
            "upkeep": self._keep_house,
        }
        if self._reports is not None:
            runs[REPORTS] = self._reports.run
        if self._dispatcher is not None:
            runs[dispatcher.THREAD] = partial(self._dispatcher.run, self._ready, self._stopping)
        if watch is not None:
            runs[WATCH] = partial(watch.run, self._ledger.batches, self._stopping)
        self._threads = {
            name: threading.Thread(target=self._guard, args=(name, run), name=name, daemon=True)
            for name, run in runs.items()
        }

    def _make_reports(self, subscriber: Subscriber) -> Reports:
        settings = self._settings
        nudge = self.nudge_commands
        how = ReportSettings(settings.name, self._token, self._understand, settings.backoff, settings.flush_s, nudge)
        return Reports(self._engine, subscriber, how, self._keeper, self._board, self._vitals)

    def _make_dispatcher(self, sender: CommandSender) -> Dispatcher:
        settings = self._settings
        resends = settings.upkeep.resends
        how = DispatcherSettings(settings.topic_root, settings.audit_key, settings.backoff, resends=resends)
        return Dispatcher(self._engine, sender, how, self._keeper, self._board, self._vitals)

    def start(self) -> None:
        """Start the threads. Returns at once; waiting for database and broker is theirs."""
        for thread in self._threads.values():
            thread.start()

    def stop(self, drain_s: float = 0.0, timeout_s: float = 5.0) -> None:
        """Store and acknowledge the batch in hand, leave the broker, end the threads. Harmless if it never started.

        Args:
            drain_s: Longest time to go on taking what the broker still has: for one that forgets it when it stops.
            timeout_s: Longest time to wait for the threads.
        """
        if self._stopping.is_set():
            return
        self._drain_until = time.monotonic() + drain_s
        self._stopping.set()
        self._keeper.close()
        self._subscriber.wake()
        self._latest.wake()
        if self._reports is not None:
            self._reports.wake()
        self.nudge_commands()
        if self._watch is not None:
            self._watch.wake()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads.values():
            if thread.ident is not None:  # else it never started
                thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("Thread %s did not end within %.1f s; what it holds comes again.", thread.name, timeout_s)
        self._release()
        held = self._account()
        log.info("The account: in messages, %s; in readings, %s.", held.messages, held.readings)

    def _release(self) -> None:
        """Give back the connections whose thread has ended, or never began."""
        connections: dict[str, Subscriber | Reports | Dispatcher | BrokerWatch | None] = {
            "ingest": self._subscriber,
            REPORTS: self._reports,
            dispatcher.THREAD: self._dispatcher,
            WATCH: self._watch,
        }
        for thread, connection in connections.items():
            if connection is not None and not self._threads[thread].is_alive():
                connection.release()

    def nudge_commands(self) -> None:
        """Look at the commands at once: one was written. Quick, from any thread."""
        if self._dispatcher is not None:
            self._dispatcher.nudge()

    def health(self) -> Health:
        """How the worker is, from memory."""
        return Health(
            "thread",
            self._started_at,
            self._vitals.broker if self._watch is None else self._watch.over(self._vitals.broker),
            self._vitals.database,
            self._account(),
            sum((ledger.rates(now_ms()) for ledger in self._ledgers()), Rates()),
            self._vitals.threads,
            keeper=self._keeper.holds,
            dead_letters=self._vitals.dead_letters,
            turn_s=self._vitals.turn_s,
            resends=self._vitals.resends,
        )

    def _ledgers(self) -> list[Ledger]:
        return [self._ledger, *([self._reports.ledger] if self._reports is not None else [])]

    def _account(self) -> Account:
        return sum((ledger.account for ledger in self._ledgers()), Account())

    # Threads

    def _guard(self, name: str, run: Callable[[], None]) -> None:
        guarded(name, run, self._settings.backoff, self._stopping, self._vitals)

    def _keep_latest(self) -> None:
        self._latest.run(self._ready, self._stopping)
        self._threads["ingest"].join()
        if self._ready.is_set() and self._vitals.database.state == "connected":
            with contextlib.suppress(DatabaseAway):  # `latest` is repaired at the next start
                self._latest.write()

    def _keep_house(self) -> None:
        self._upkeep.run(self._ready, self._stopping)
        for thread in self._threads.values():  # their last batches are to be in the account that is folded
            if thread is not threading.current_thread():
                thread.join()
        if self._vitals.database.state == "connected":
            self._upkeep.farewell()

    def _ingest(self) -> None:
        try:
            self._until_stored(self._open_database)
            self._ready.set()
            self._latest.wake()
            wait = self._settings.backoff.first_s
            while not self._stopping.is_set():
                self._connect()
                connected_at = time.monotonic()
                try:
                    self._pump()
                except BrokerAway as away:
                    self._vitals.broker_lost(str(away))
                    # A broker that lets us in and throws us out again, as for a client id used twice, is not stormed.
                    if time.monotonic() - connected_at > self._settings.backoff.longest_s:
                        wait = self._settings.backoff.first_s
                    self._stopping.wait(wait)
                    wait = min(wait * 2, self._settings.backoff.longest_s)
        except Stopped:
            self._ledger.drop()
        finally:
            self._showing.show()
            self._subscriber.close()
            self._leave()

    def _leave(self) -> None:
        if not self._stopping.is_set():
            self._vitals.broker_left()  # an error ended us; the guard begins again
            return
        self._vitals.broker_stopped()

    # Before the loop

    def _open_database(self) -> None:
        """Bring the tables up to date and learn what is there. Raises DatabaseAway."""
        self._vitals.opening()
        migrations.apply(self._engine)
        with writing(self._engine) as connection:
            self._load_account(account.totals(connection))
            self._vitals.dead_letters_counted(dead_letters.count(connection), account.letters_removed(connection))
            self._vitals.database_connected(facts(connection))
            self._board.update(lambda current: restore.snapshot(connection, current, now_ms()))
        self._writer.load()

    def _load_account(self, tallies: dict[str, account.Tally]) -> None:
        mine = tallies.get(self._settings.name, account.Tally())
        if self._reports is None:  # what it took as the keeper, while it shared with others, is its own all the same
            mine += tallies.get(f"{self._settings.name}{SUFFIX}", account.Tally())
        elif not self._ready.is_set():  # from then on the keeper's thread counts for itself
            self._reports.load(tallies)
        self._ledger.load(mine)

    def _connect(self) -> None:
        def lost(error: Exception) -> None:
            self._vitals.broker_lost(str(error))

        self._showing.show()
        self._ahead = None  # it was not acknowledged, so it comes again
        self._ledger.drop()
        until_it_works(self._subscriber.connect, BrokerAway, self._settings.backoff, self._stopping, lost)
        self._vitals.broker_connected(self._subscriber.window, self._subscriber.protocol)

    # The loop

    def _pump(self) -> None:
        """Receive, decode, store, acknowledge, until told to stop. Raises BrokerAway, Stopped."""
        while True:
            self._vitals.turned()
            draining = self._stopping.is_set()
            arrived = self._next(self._settings.quiet_s if draining else self._settings.flush_s)
            if arrived.messages:
                self._take(arrived)
            if draining and self._ahead is None and (not arrived.messages or time.monotonic() >= self._drain_until):
                return

    def _next(self, timeout_s: float) -> Arrived:
        """What arrived while the batch before was being stored, else what arrives now. Raises BrokerAway."""
        arrived, self._ahead = self._ahead, None
        if arrived is not None:
            if arrived.error is not None:
                raise arrived.error
            return arrived if len(arrived.messages) >= _SMALL else arrived + self._receive(0.0)
        if self._showing.waits:
            if (arrived := self._receive(0.0)).messages:
                self._showing.show_if_due()
                return arrived
            self._showing.show()
        return self._receive(timeout_s)

    def _receive(self, timeout_s: float) -> Arrived:
        messages = self._subscriber.receive(timeout_s)
        batch = [decoded for message in messages if (decoded := self._decode(message)) is not None]
        return Arrived(messages, batch, count_readings(batch))

    def _look_ahead(self) -> None:
        """While the database works at the batch in hand: show those before, receive, decode and place the one behind.

        None is received when the one in hand is the last.
        """
        self._showing.show_if_due()
        if self._ahead is None and not self._stopping.is_set():
            try:
                ahead = self._receive(0.0)
            except Exception as error:  # noqa: BLE001 - raised by `_next`: it must not look like the batch's own
                self._ahead = Arrived(error=error)
            else:
                if ahead.messages:
                    self._ahead = ahead
                    if len(ahead.messages) >= _SMALL:
                        self._writer.prepare(ahead.batch)
                    self._ledger.hold_next(len(ahead.batch), ahead.readings)

    def _take(self, arrived: Arrived) -> None:
        messages, batch = arrived.messages, arrived.batch
        if batch:
            self._ledger.hold(len(batch), arrived.readings, messages[0].received_at, lag_ms(batch))
            outcome = self._until_stored(lambda: self._writer.store(batch, now_ms()))
            self._showing.take(outcome)
            self._ledger.settle(outcome.tally, messages[0].received_at, now_ms())
        self._subscriber.acknowledge(messages)

    def _decode(self, message: Message) -> Decoded | None:
        if self._reports is not None and topics.is_report(message.topic, self._settings.topic_root):
            return None  # the keeper's, who has it by its own connection
        return self._understand(message)

    def _newest(self, device: str, metric: str) -> float | None:
        known = self._board.current.devices.get(device)
        series = None if known is None else known.metrics.get(metric)
        return None if series is None else series.value

    def _understand(self, message: Message) -> Decoded | None:
        try:
            decoded = native.decode(message, self._settings.topic_root, self._settings.largest_payload)
        except Exception as error:
            # A dialect never raises; one that does must not hold up everything behind this message.
            log.exception("The message on %s can't be decoded, it becomes a dead letter.", message.topic)
            return Decoded(message, problems=(f"it can't be decoded: {type(error).__name__}",))
        if decoded is None or self._raw_days is None:
            return decoded
        return without_outdated(decoded, self._raw_days, message.received_at)

    def _until_stored(self, what: Callable[[], T]) -> T:
        """Try until the database takes it, keeping the broker's connection alive. Raises Stopped."""

        def lost(error: Exception) -> None:
            self._vitals.database_lost(str(error))
            self._showing.show()
            with contextlib.suppress(BrokerAway):  # acknowledging will find out and connect again
                self._subscriber.keep_alive()

        result = until_it_works(what, DatabaseAway, self._settings.backoff, self._stopping, lost)
        self._vitals.database_connected()
        return result

    # What others read

    def _heartbeat(self) -> Heartbeat:
        waiting = self._account()
        return Heartbeat(
            self._settings.name,
            self._token,
            self._started_at,
            waiting.messages.waiting,
            waiting.readings.waiting,
            self._vitals.broker.state,
            self._ledger.rates(now_ms()).lag_ms,
        )
