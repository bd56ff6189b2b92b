"""The account in memory: what the database holds, plus the batch in hand. One thread writes, anyone reads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from db.account import Tally
from ingest.health import Account, Counts, Rates

_WINDOW_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class _Second:
    """What was stored in one second (UTC ms of its start)."""

    start: int
    messages: int
    readings: int


class Ledger:
    """Holds one immutable account and swaps it whole, so that its numbers add up whenever they are read."""

    def __init__(self) -> None:
        self._account = Account()
        self._seconds: deque[_Second] = deque()
        self._recent: tuple[_Second, ...] = ()
        self._store_ms: int | None = None

    @property
    def account(self) -> Account:
        """Of this worker, over all its starts."""
        return self._account

    def load(self, tally: Tally) -> None:
        """Begin with what the database holds."""
        self._account = account_of(tally)

    def hold(self, messages: int, readings: int) -> None:
        """A batch is in hand: received, not yet stored."""
        known = self._account
        self._account = Account(replace(known.messages, waiting=messages), replace(known.readings, waiting=readings))

    def settle(self, tally: Tally, received_at: int, now: int) -> None:
        """The batch in hand is committed. Times are UTC ms."""
        known = self._account
        before = Account(replace(known.messages, waiting=0), replace(known.readings, waiting=0))
        self._account = before + account_of(tally)
        self._store_ms = max(0, now - received_at)
        start = now - now % 1000
        if self._seconds and self._seconds[-1].start == start:
            last = self._seconds.pop()
            messages, readings = last.messages + tally.stored, last.readings + tally.readings_stored
        else:
            messages, readings = tally.stored, tally.readings_stored
        self._seconds.append(_Second(start, messages, readings))
        while self._seconds[0].start < now - _WINDOW_MS:
            self._seconds.popleft()
        self._recent = tuple(self._seconds)

    def drop(self) -> None:
        """The batch in hand goes back to the broker: it was not stored and will come again."""
        self.hold(0, 0)

    def rates(self, now: int) -> Rates:
        """Of the 60 seconds before `now` (UTC ms)."""
        recent = [second for second in self._recent if second.start >= now - _WINDOW_MS]
        return Rates(sum(s.messages for s in recent), sum(s.readings for s in recent), self._store_ms)


def account_of(tally: Tally) -> Account:
    """A tally as the account shows it."""
    return Account(
        Counts(tally.stored, tally.duplicate, tally.rejected),
        Counts(tally.readings_stored, tally.readings_duplicate, tally.readings_rejected),
    )
