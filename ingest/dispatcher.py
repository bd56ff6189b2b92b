"""Commands out: publishes what is queued, holds back what nobody would hear, and ends what is past its deadline.

The table is the queue. What this thread does to a command it notes in a transaction that only the keeper can commit,
and in this order, so that a `kill -9` at any step loses nothing: that a command is about to go out, before it does;
that it is published, once the broker has acknowledged it. What was noted to go out and never acknowledged goes out
again with the same id, which a device that remembers ids applies once. Reports of devices end commands where they are
stored (`db.command_reports`).

Beside commands it asks devices to send again what never arrived (`ingest.asking`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec

from db import command_reports, commands, dispatching
from db.dispatching import Waiting
from db.engine import Connection, DatabaseAway, Engine, RefusedRows, is_deadlock, reading, writing
from db.leases import LeaseLost
from ingest import asking
from ingest.asking import Asking
from ingest.board_watch import BoardWatch
from ingest.command_sender import Answer, CommandSender
from ingest.connection import BrokerAway
from ingest.dialects import topics
from ingest.keeper import Keeper
from ingest.patience import Backoff
from ingest.resend_plan import ResendSettings
from ingest.settling import Settler
from ingest.snapshot import Board
from ingest.vitals import Vitals, now_ms

log = logging.getLogger(__name__)

#: The thread that runs this, who it is to `Vitals`, and how its connection is called after the worker's name.
THREAD: Final = "commands"
SUFFIX: Final = "-commands"
_HEARD: Final = "The broker has it."
_UNHEARD: Final = "The broker has it, and nobody is subscribed to it there: the device is not connected."
_OFFLINE: Final = "The device is offline, as it said itself. The command waits here until it is back."
_NOT_ASKING: Final = "The device has stopped asking for its commands. This one waits here until it asks again."


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """Times are seconds; tests make them small. `audit_key`: of the audit log, None where it is not to be had here."""

    topic_root: str
    audit_key: bytes | None = None
    backoff: Backoff = field(default_factory=Backoff)
    #: Between two looks at the table, which tell what other processes wrote.
    poll_s: float = 0.05
    #: Between two looks at those that are held back.
    held_s: float = 0.5
    #: A broker that has not acknowledged by then is asked on a new connection.
    acknowledge_s: float = 5.0
    rest_s: float = 1.0
    resends: ResendSettings = field(default_factory=ResendSettings)


class Dispatcher:
    """One thread runs it; anyone may `nudge`. It keeps the board's commands in any worker, and sends as the keeper."""

    def __init__(
        self,
        engine: Engine,
        sender: CommandSender,
        settings: DispatcherSettings,
        keeper: Keeper,
        board: Board,
        vitals: Vitals,
    ) -> None:
        self._engine, self._sender, self._settings = engine, sender, settings
        self._keeper, self._board, self._vitals = keeper, board, vitals
        self._watch = BoardWatch(board, settings.rest_s)
        self._nudged = threading.Event()
        self._hindered = False
        self._connect_at = 0.0
        self._connect_wait = settings.backoff.first_s
        #: Ids that are on their way, with the monotonic seconds since when, and what goes out when there is room.
        self._flying: dict[str, float] = {}
        self._outgoing: list[Waiting] = []
        #: Why a command is held back, by id; what was said once is not said again.
        self._held: dict[str, str] = {}
        self._held_at = 0.0
        self._look = True
        #: Whether something was written since the last look, which then is made at once.
        self._wrote = False
        self._settler = Settler(settings.audit_key)
        self._asking = Asking(settings.resends, settings.topic_root)

    def nudge(self) -> None:
        """Look at the table at once: a command was written, or a report stored. From any thread."""
        self._nudged.set()
        self._sender.wake()

    def run(self, ready: threading.Event, stopping: threading.Event) -> None:
        """Until `stopping`, from the moment the tables are `ready`."""
        while not ready.wait(self._settings.poll_s):
            if stopping.is_set():
                return
        wait = self._settings.backoff.first_s
        self._watch.begin()
        try:
            while not stopping.is_set():
                try:
                    self._turn()
                except (DatabaseAway, RefusedRows) as error:
                    if is_deadlock(error):  # it met somebody else's transaction, and is the one to begin anew
                        self._look = True
                        continue
                    self._vitals.database_lost(str(error), by=THREAD)
                    self._watch.begin()
                    stopping.wait(wait)
                    wait = min(wait * 2, self._settings.backoff.longest_s)
                except LeaseLost:
                    self._keeper.lost()
                else:
                    self._vitals.database_connected(by=THREAD)
                    wait = self._settings.backoff.first_s
        finally:
            self._part()

    def release(self) -> None:
        """Give back what the connection holds, after the thread's end."""
        self._sender.release()

    # A turn

    def _turn(self) -> None:
        """Look, do what there is to do, and wait for what comes. Raises DatabaseAway, LeaseLost."""
        self._look_at_table()
        if self._keeper.holds:
            try:
                self._connect_if_due()
                self._dispatch()
                self._ask_again()
            except BrokerAway as away:
                self._broker_lost(away)
            self._end()
        elif self._sender.connected or self._hindered:
            self._part()
            self._vitals.thread_hindered(THREAD, None)
            self._hindered = False
        self._rest()

    def _look_at_table(self) -> None:
        with reading(self._engine) as connection:
            broker = self._vitals.broker
            listening_since = broker.since if broker.state == "connected" else None
            news = self._watch.look(connection, now_ms(), listening_since)
        self._look = self._look or news
        self._settler.due = self._settler.due or news

    def _rest(self) -> None:
        """Wait for the broker's answers, for a nudge or for the next look."""
        pause = 0.0 if self._wrote or self._nudged.is_set() else self._settings.poll_s
        self._wrote = False
        try:
            if self._sender.connected:
                self._take(self._sender.answers(pause))
            else:
                self._nudged.wait(pause)
        except BrokerAway as away:
            self._broker_lost(away)
        if self._nudged.is_set():
            self._nudged.clear()
            self._held_at = 0.0  # somebody may be back

    # Out

    def _connect_if_due(self) -> None:
        if self._sender.connected or time.monotonic() < self._connect_at:
            return
        self._sender.connect()
        self._connect_wait = self._settings.backoff.first_s
        self._vitals.thread_hindered(THREAD, None)
        self._hindered = False
        self._look = True

    def _broker_lost(self, error: BrokerAway) -> None:
        self._vitals.thread_hindered(THREAD, f"its connection to the broker is away: {error}")
        self._hindered = True
        self._sender.close()
        self._flying.clear()  # they are noted as about to go out, and go again
        self._outgoing.clear()
        self._connect_at = time.monotonic() + self._connect_wait
        self._connect_wait = min(self._connect_wait * 2, self._settings.backoff.longest_s)

    def _part(self) -> None:
        """Leave the broker: we end, or are not the keeper."""
        self._sender.close()
        self._flying.clear()
        self._outgoing.clear()
        self._held.clear()
        self._look = True

    def _dispatch(self) -> None:
        """Send what is to go out, as far as there is room. Raises BrokerAway, DatabaseAway, LeaseLost."""
        if self._look or (self._held and time.monotonic() >= self._held_at):
            self._choose()
        now = time.monotonic()
        if self._flying and now - min(self._flying.values()) > self._settings.acknowledge_s:
            raise BrokerAway("it does not acknowledge what it is sent")
        if self._sender.connected and self._outgoing and self._sender.room > 0:
            batch = self._outgoing[: self._sender.room]
            del self._outgoing[: len(batch)]
            self._publish(batch)

    def _choose(self) -> None:
        """Sort what is queued: to be sent, to be held back, to be ended because there is nobody to send it to."""
        self._look = False
        began, now = time.monotonic(), now_ms()
        with reading(self._engine) as connection:
            waiting = dispatching.waiting(connection, now)
        queued = {one.id for one in waiting}
        held = {one.id: why for one in waiting if (why := self._why_held(one, now)) is not None}
        gone = {one.id: why for one in waiting if (why := one.gone or self._no_topic(one)) is not None}
        said = {one.id: held[one.id] for one in waiting if held.get(one.id) and self._held.get(one.id) != held[one.id]}
        if gone or said:
            with self._as_keeper() as connection:
                for command_id, why in gone.items():
                    commands.move(connection, command_id, "failed", why, now, expected="queued")
                for command_id, why in said.items():
                    if self._known_evidence(command_id) != why:  # as before a restart of ours
                        commands.move(connection, command_id, "queued", why, now, expected="queued")
            self._wrote = True
        self._held = held
        self._flying = {one: since for one, since in self._flying.items() if one in queued}
        busy = self._flying.keys() | held.keys()
        self._outgoing = [one for one in waiting if one.id not in busy and one.id not in gone]
        took = time.monotonic() - began
        self._held_at = time.monotonic() + max(self._settings.held_s, 10 * took)

    @staticmethod
    def _why_held(one: Waiting, now: int) -> str | None:
        """A sentence, empty for a device that is just about to fetch it; None if it is to be sent."""
        if one.poll is not None:
            return "" if one.poll.alive(now) else _NOT_ASKING
        return _OFFLINE if one.silent_since is not None else None

    def _no_topic(self, one: Waiting) -> str | None:
        """Why there is none under TOPIC_ROOT, None if there is."""
        try:
            topics.order(one.device, one.actuator, self._settings.topic_root)
        except topics.UnknownTopic as unknown:
            return f"It can't be sent: {unknown}."
        return None

    def _known_evidence(self, command_id: str) -> str | None:
        known = self._board.current.commands.get(command_id)
        return known.command.steps[-1].evidence if known is not None else None

    def _publish(self, batch: Sequence[Waiting]) -> None:
        now = now_ms()
        with self._as_keeper() as connection:
            may = set(dispatching.note_sending(connection, [one.id for one in batch], now))
        for one in batch:
            if one.id in may and one.deadline_at > now:
                topic = topics.order(one.device, one.actuator, self._settings.topic_root)
                self._sender.send(one.id, topic, payload(one), (one.deadline_at - now) / 1000)
                self._flying[one.id] = time.monotonic()
        self._look = self._look or len(may) < len(batch)

    def _ask_again(self) -> None:
        """Ask devices for what never arrived, where no command waits for room. Raises as `_dispatch` does."""
        if not self._asking.is_time() or not self._sender.connected or self._outgoing:
            return
        now = now_ms()
        with reading(self._engine) as connection:
            chosen = self._asking.choose(connection, self._board.current, self._vitals.broker, now)
        chosen = chosen[: self._sender.room]
        if not chosen:
            return
        with self._as_keeper() as connection:
            chosen = self._asking.note(connection, chosen, now)
        for one in chosen:  # what the broker does not get is asked for the next time
            log.debug("Asking %s for numbers %d to %d again.", one.device, one.range.first, one.range.last)
            expires_in_s = self._asking.expires_in_s(one.range)
            self._sender.send(asking.REQUEST, self._asking.topic(one.device), asking.payload(one.range), expires_in_s)

    def _take(self, answers: list[Answer]) -> None:
        """The broker's answers. Raises DatabaseAway, LeaseLost: what it acknowledged goes out once more then."""
        answers = self._asking.without(answers)
        if not answers:
            return
        now = now_ms()
        try:
            with self._as_keeper() as connection:
                _note_answers(connection, answers, now)
        finally:
            for answer in answers:
                self._flying.pop(answer.token, None)
            self._look = self._wrote = True

    # Ends

    def _end(self) -> None:
        """End what is past its deadline, and write what has ended to the audit log. Raises DatabaseAway, LeaseLost."""
        now = now_ms()
        if any(one.command.open and one.command.deadline_at <= now for one in self._board.current.commands.values()):
            with self._as_keeper() as connection:
                ended = command_reports.expire(connection, now)
            if ended:
                self._wrote = True
            else:  # the board is behind, and nothing newer is to come
                self._watch.begin()
        self._settler.settle(self._as_keeper, now)

    @contextmanager
    def _as_keeper(self) -> Iterator[Connection]:
        with writing(self._engine) as connection:
            self._keeper.fence(connection)
            yield connection


def payload(command: Waiting) -> bytes:
    """What a device is sent. CONTRACT, "MQTT: native topics"."""
    state: str | float = command.state
    if state not in ("ON", "OFF"):
        number = float(state)
        state = int(number) if number.is_integer() else number
    return msgspec.json.encode({"id": command.id, "state": state, "expires": command.deadline_at})


def _note_answers(connection: Connection, answers: Sequence[Answer], now: int) -> None:
    for answer in answers:
        if answer.refused is not None:
            evidence = f"The broker refused it: {answer.refused}."
            commands.move(connection, answer.token, "failed", evidence, now)
    taken = {answer.token: _HEARD if answer.heard else _UNHEARD for answer in answers if answer.refused is None}
    dispatching.note_published(connection, taken, now)
