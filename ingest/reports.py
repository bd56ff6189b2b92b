"""The keeper's second connection: status, about and state of all devices, taken by the one worker that is the keeper.

Where workers share the telemetry, a subscription that is shared brings no retained message and would give `offline` to
one worker and `online` to another. So these come unshared, to the keeper alone. Each time a worker becomes the keeper
it subscribes anew and gets what is retained, the newest of each; what was not retained in between is lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from db import account
from db.engine import DatabaseAway, Engine, reading
from db.leases import LeaseLost
from ingest.dialects.decoded import Decoded
from ingest.keeper import SUFFIX, Keeper
from ingest.ledger import Ledger
from ingest.message import Message
from ingest.patience import Backoff, Stopped, until_it_works
from ingest.snapshot import Board, apply
from ingest.subscriber import BrokerAway, Subscriber
from ingest.vitals import Vitals, now_ms
from ingest.writer import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")

#: The thread that runs this, and who it is to `Vitals`.
THREAD = "keeper"


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """The worker's name and the token of its start, how to decode a message, and seconds of patience."""

    worker: str
    token: str
    decode: Callable[[Message], Decoded | None]
    backoff: Backoff
    #: Longest wait for a message, after which it looks whether it is still the keeper.
    look_s: float = 1.0
    #: Called when something that a device says of itself is stored: it may have ended a command.
    reported: Callable[[], None] = lambda: None


class Reports:
    """One thread runs it. Its batches stand in the account as another worker's, `<name>-keeper`."""

    def __init__(
        self,
        engine: Engine,
        subscriber: Subscriber,
        settings: ReportSettings,
        keeper: Keeper,
        board: Board,
        vitals: Vitals,
    ) -> None:
        self._engine = engine
        self._subscriber = subscriber
        self._settings = settings
        self._keeper = keeper
        self._board = board
        self._vitals = vitals
        self._name = f"{settings.worker}{SUFFIX}"
        self._writer = Writer(engine, self._name, settings.token, keeper.fence)
        self.ledger = Ledger()

    def run(self) -> None:
        """Until the keeper is closed: wait for our turn, take reports until it is over."""
        while self._keeper.await_turn():
            try:
                self._until_stored(self._begin)
                self._serve()
            except LeaseLost:
                self._keeper.lost()
            except Stopped:
                log.debug("No longer the keeper, while the broker or the database was away.")
            finally:
                self.ledger.drop()
                self._subscriber.close()
            if not self._keeper.closed:  # whatever hindered us is the next keeper's trouble, not ours
                self._vitals.thread_hindered(THREAD, None)
                self._vitals.database_connected(by=THREAD)

    def wake(self) -> None:
        """End a wait for messages, from another thread."""
        self._subscriber.wake()

    def release(self) -> None:
        """Give back what the connection holds, after the thread's end."""
        self._subscriber.release()

    def load(self, tallies: dict[str, account.Tally]) -> None:
        """Begin with what the database holds in the account. Called before the thread's first turn, or by it."""
        self.ledger.load(tallies.get(self._name, account.Tally()))

    def _begin(self) -> None:
        self._writer.load()
        with reading(self._engine) as connection:
            self.load(account.totals(connection))

    def _serve(self) -> None:
        """From the lease's taking to its end. Raises LeaseLost, Stopped."""
        backoff, over = self._settings.backoff, self._keeper.over
        wait = backoff.first_s
        while not over.is_set():
            until_it_works(self._subscriber.connect, BrokerAway, backoff, over, self._broker_lost)
            self._vitals.thread_hindered(THREAD, None)
            connected_at = time.monotonic()
            try:
                while not over.is_set():
                    messages = self._subscriber.receive(self._settings.look_s)
                    if messages:
                        self._take(messages)
            except BrokerAway as away:
                self._broker_lost(away)
                if time.monotonic() - connected_at > backoff.longest_s:
                    wait = backoff.first_s
                over.wait(wait)
                wait = min(wait * 2, backoff.longest_s)

    def _take(self, messages: Sequence[Message]) -> None:
        batch = [decoded for message in messages if (decoded := self._settings.decode(message)) is not None]
        if batch:
            self.ledger.hold(len(batch), sum(decoded.readings for decoded in batch))
            outcome = self._until_stored(lambda: self._writer.store(batch, now_ms()))
            self.ledger.settle(outcome.tally, messages[0].received_at, now_ms())
            self._board.update(lambda current: apply(current, outcome.changes))
            if outcome.reports:
                self._settings.reported()
        self._subscriber.acknowledge(messages)

    def _until_stored(self, what: Callable[[], T]) -> T:
        """Try until the database takes it or our turn is over. Raises LeaseLost, Stopped."""

        def lost(error: Exception) -> None:
            self._vitals.database_lost(str(error), by=THREAD)
            try:
                self._subscriber.keep_alive()
            except BrokerAway as away:  # acknowledging will find out as well, and connect again
                self._broker_lost(away)

        result = until_it_works(what, DatabaseAway, self._settings.backoff, self._keeper.over, lost)
        self._vitals.database_connected(by=THREAD)
        return result

    def _broker_lost(self, error: Exception) -> None:
        self._vitals.thread_hindered(THREAD, f"its connection to the broker is away: {error}")
