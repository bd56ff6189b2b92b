"""The account in memory: what the database holds, plus what waits: the batch in hand, and one that was received
meanwhile. One thread writes, anyone reads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from db.account import Tally
from ingest.health import Account, Counts, Rates

_WINDOW_MS: Final = 60_000
#: A batch in hand for so long is not just being stored.
_WAITS_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Batches:
    """Batches that were stored in some time: how many, their messages together, and those of the largest."""

    count: int = 0
    messages: int = 0
    largest: int = 0


@dataclass(frozen=True, slots=True)
class _Second:
    """What was stored in one second (UTC ms of its start), and in batches of how many messages."""

    start: int
    messages: int
    readings: int
    batches: int = 0
    taken: int = 0
    largest: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is known of a batch beside its counts: when its oldest message came (UTC ms), and its lag."""

    size: int = 0
    received_at: int | None = None
    lag_ms: int | None = None


class Ledger:
    """Holds one immutable account and swaps it whole, so that its numbers add up whenever they are read."""

    def __init__(self) -> None:
        self._account = Account()
        self._seconds: deque[_Second] = deque()
        self._recent: tuple[_Second, ...] = ()
        self._store_ms: int | None = None
        self._held = _Batch()
        self._next = (0, 0)
        self._settled = (0, _Batch())

    @property
    def account(self) -> Account:
        """Of this worker, over all its starts."""
        return self._account

    def load(self, tally: Tally) -> None:
        """Begin with what the database holds."""
        self._account = account_of(tally)

    def hold(self, messages: int, readings: int, received_at: int | None = None, lag_ms: int | None = None) -> None:
        """A batch is in hand: received, not yet stored. `received_at` is its oldest message's, UTC ms."""
        self._held = _Batch(messages, received_at, lag_ms)
        self._next = (0, 0)
        self._wait(messages, readings)

    def hold_next(self, messages: int, readings: int) -> None:
        """Another batch was received while the one in hand is being stored. It is held next."""
        self._next = (messages, readings)
        waiting = self._account
        self._wait(waiting.messages.waiting + messages, waiting.readings.waiting + readings)

    def _wait(self, messages: int, readings: int) -> None:
        known = self._account
        self._account = Account(replace(known.messages, waiting=messages), replace(known.readings, waiting=readings))

    def settle(self, tally: Tally, received_at: int, now: int) -> None:
        """The batch in hand is committed. Times are UTC ms."""
        known = self._account
        messages, readings = self._next
        before = Account(replace(known.messages, waiting=messages), replace(known.readings, waiting=readings))
        self._account = before + account_of(tally)
        self._store_ms = max(0, now - received_at)
        held, self._held = self._held, _Batch()
        self._settled = now, held
        start = now - now % 1000
        same = self._seconds and self._seconds[-1].start == start
        last = self._seconds.pop() if same else _Second(start, 0, 0)
        self._seconds.append(
            _Second(
                start,
                last.messages + tally.stored,
                last.readings + tally.readings_stored,
                last.batches + 1,
                last.taken + held.size,
                max(last.largest, held.size),
            )
        )
        while self._seconds[0].start < now - _WINDOW_MS:
            self._seconds.popleft()
        self._recent = tuple(self._seconds)

    def drop(self) -> None:
        """What waits goes back to the broker: it was not stored and will come again."""
        self.hold(0, 0)

    def rates(self, now: int) -> Rates:
        """Of the 60 seconds before `now` (UTC ms)."""
        recent = [second for second in self._recent if second.start >= now - _WINDOW_MS]
        return Rates(
            sum(s.messages for s in recent), sum(s.readings for s in recent), self._store_ms, self._lag_ms(now)
        )

    def batches(self, begin: int, end: int) -> Batches:
        """What was stored in the seconds that begin between these times (UTC ms)."""
        seconds = [second for second in self._recent if begin <= second.start < end]
        return Batches(
            sum(s.batches for s in seconds), sum(s.taken for s in seconds), max((s.largest for s in seconds), default=0)
        )

    def _lag_ms(self, now: int) -> int | None:
        """Of the batch that waits for the database, however long it does; else of the last one, for a minute."""
        held = self._held
        waited = 0 if held.received_at is None else now - held.received_at
        if waited >= _WAITS_MS:
            return (held.lag_ms or 0) + waited
        at, settled = self._settled
        return settled.lag_ms if now - at <= _WINDOW_MS else None


def account_of(tally: Tally) -> Account:
    """A tally as the account shows it."""
    return Account(
        Counts(tally.stored, tally.duplicate, tally.rejected),
        Counts(tally.readings_stored, tally.readings_duplicate, tally.readings_rejected),
    )
