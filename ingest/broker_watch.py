"""What the broker tells of itself under `$SYS`: how much waits there, and what it had to drop.

Read on a connection of its own, because on the worker's it would be taken for what devices send. A broker that tells
nothing, or refuses, is fine: then it is not known.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from ingest.health import BrokerHealth
from ingest.ledger import Batches
from ingest.message import Message
from ingest.negotiated_subscriber import make_subscriber
from ingest.patience import Backoff
from ingest.subscriber import BrokerAway, Subscriber, SubscriberSettings
from ingest.vitals import Vitals

log = logging.getLogger(__name__)

#: The thread that runs this.
THREAD: Final = "broker-watch"
_STORED: Final = frozenset({"$SYS/broker/store/messages/count", "$SYS/broker/messages/stored"})
_RETAINED: Final = "$SYS/broker/retained messages/count"
_DROPPED: Final = "$SYS/broker/publish/messages/dropped"
_VERSION: Final = "$SYS/broker/version"
#: Told each time, while the others are told when they change: so that a backlog that stands still is noticed.
_UPTIME: Final = "$SYS/broker/uptime"
#: What to subscribe to.
TOPICS: Final = (*sorted(_STORED), _RETAINED, _DROPPED, _VERSION, _UPTIME)

#: Figures that come within so many ms belong together.
_TOGETHER_MS: Final = 300
#: From so many waiting messages on, a broker that hands over few at a time does so because it may not more.
_QUEUE: Final = 100
#: Mosquitto's default window, and how many batches of what size show that it is in force.
_DEFAULT_WINDOW: Final = 20
_LEAST: Final = 10
_BATCHES: Final = 10


@dataclass(frozen=True, slots=True)
class _Look:
    """What waited at a time (UTC ms)."""

    at: int
    waiting: int


@dataclass(frozen=True, slots=True)
class BrokerFigures:
    """What is known from `$SYS`, None where it is not.

    `backlog`: messages that wait at the broker, for any of its clients. `catch_up_ms`: until they have gone, at the
    present rate. `dropped`: since the broker's start. `window`: how many it hands over at a time, if that is narrow.
    """

    backlog: int | None = None
    catch_up_ms: int | None = None
    dropped: int | None = None
    version: str | None = None
    window: int | None = None


class BrokerWatch:
    """One thread runs it, anyone reads `figures`. Times are seconds."""

    def __init__(
        self,
        subscriber: Subscriber,
        vitals: Vitals,
        backoff: Backoff | None = None,
        quiet_s: float = 30.0,
    ) -> None:
        """A broker that has told nothing after `quiet_s` has no `$SYS`; listening goes on."""
        self._subscriber = subscriber
        self._vitals = vitals
        self._backoff = backoff or Backoff(1.0, 10.0)
        self._quiet_s = quiet_s
        self._said = False
        self._figures = BrokerFigures()

    def over(self, broker: BrokerHealth) -> BrokerHealth:
        """The connection's health with what the broker tells."""
        found = self._figures
        return replace(
            broker,
            window=broker.window if found.window is None else found.window,
            backlog=found.backlog,
            catch_up_ms=found.catch_up_ms,
            dropped=found.dropped,
            version=found.version,
        )

    def run(self, batches: Callable[[int, int], Batches], stop: threading.Event) -> None:
        """Listen until `stop`. `batches` tells what was stored between two times (UTC ms)."""
        wait = self._backoff.first_s
        connected_at = time.monotonic()
        while not stop.is_set():
            try:
                self._subscriber.connect()
                connected_at = time.monotonic()
                self._listen(SysReader(batches), stop)
            except BrokerAway as away:
                # One that throws us out again, as for a client id used twice, is not stormed.
                if time.monotonic() - connected_at > self._backoff.longest_s:
                    wait = self._backoff.first_s
                if self._vitals.broker.state == "connected":  # else the worker has said why already
                    self._say_once(str(away))
            self._figures = BrokerFigures()
            stop.wait(wait)
            wait = min(wait * 2, self._backoff.longest_s)
        self._subscriber.close()

    def wake(self) -> None:
        """End a wait for the broker, after `stop` was set."""
        self._subscriber.wake()

    def release(self) -> None:
        """Give back what the connection holds, after the thread's end."""
        self._subscriber.release()

    def _listen(self, reader: SysReader, stop: threading.Event) -> None:
        quiet_at = time.monotonic() + self._quiet_s
        while not stop.is_set():
            messages = self._subscriber.receive(min(self._quiet_s, 5.0))
            if messages:
                self._figures = reader.take(messages)
            elif self._figures == BrokerFigures() and time.monotonic() >= quiet_at:
                self._say_once("it tells nothing under $SYS")
        self._subscriber.close()

    def _say_once(self, why: str) -> None:
        if not self._said:
            log.info("How much waits at the broker is not known: %s. Nothing depends on it.", why)
            self._said = True


def watching(worker: SubscriberSettings, protocol: Literal["auto", "5", "3.1.1"]) -> Subscriber:
    """The connection for it, beside the worker's: nothing is kept for it, and nothing of it is to be acknowledged."""
    settings = replace(
        worker,
        client_id=f"{worker.client_id}-watch",
        filters=TOPICS,
        former_filters=(),
        persistent=False,
        qos=0,
        connect_timeout_s=2.0,
    )
    return make_subscriber(settings, protocol)


class SysReader:
    """`$SYS` messages of one connection -> figures. No clock of its own."""

    def __init__(self, batches: Callable[[int, int], Batches]) -> None:
        self._batches = batches
        self._told: dict[str, int] = {}
        self._figures = BrokerFigures()
        self._before: _Look | None = None
        self._last: _Look | None = None

    def take(self, messages: Sequence[Message]) -> BrokerFigures:
        """What is known with these."""
        for message in messages:
            text = message.payload.decode("utf-8", "replace")
            if message.topic == _VERSION:
                self._figures = replace(self._figures, version=text)
            elif text.isdecimal():
                self._told["stored" if message.topic in _STORED else message.topic] = int(text)
        self._figures = replace(self._figures, dropped=self._told.get(_DROPPED))
        stored, retained = self._told.get("stored"), self._told.get(_RETAINED)
        if stored is not None and retained is not None:
            self._look(_Look(messages[-1].received_at, max(0, stored - retained)))
        return self._figures

    def _look(self, look: _Look) -> None:
        if self._last is not None and abs(look.at - self._last.at) < _TOGETHER_MS:
            look = _Look(self._last.at, look.waiting)
        else:
            self._before = self._last
        self._last = look
        self._figures = replace(
            self._figures,
            backlog=look.waiting,
            catch_up_ms=catch_up_ms(self._before, look),
            window=self._narrow(look),
        )

    def _narrow(self, look: _Look) -> int | None:
        """The window, if the broker kept to a narrow one while much waited; what was known where nothing shows it."""
        before = self._before
        if before is None or min(before.waiting, look.waiting) < _QUEUE:
            return self._figures.window
        batches = self._batches(before.at, look.at)
        if batches.largest > _DEFAULT_WINDOW:
            return None
        full = batches.count >= _BATCHES and batches.largest >= _LEAST
        if full and batches.messages * 2 >= batches.count * batches.largest:
            return batches.largest
        return self._figures.window


def catch_up_ms(before: _Look | None, now: _Look) -> int | None:
    """How long until nothing waits, at the rate at which it became less; None if it did not."""
    if now.waiting == 0:
        return 0
    if before is None or now.at <= before.at or now.waiting >= before.waiting:
        return None
    return now.waiting * (now.at - before.at) // (before.waiting - now.waiting)
