"""Tickets, by which a browser gets its cookie: from the pages, which can't set one, to the API, which can."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

_TICKET_S: Final = 60.0
_MOST_TICKETS: Final = 1_000


class Tickets:
    """Notes that are exchanged for what they stand for, once, within a minute, in this process alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tickets: dict[str, tuple[float, str]] = {}

    def issue(self, for_what: str) -> str:
        """A new ticket."""
        ticket = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            live = {key: kept for key, kept in self._tickets.items() if kept[0] > now}
            self._tickets = dict(list(live.items())[-(_MOST_TICKETS - 1) :])
            self._tickets[ticket] = (now + _TICKET_S, for_what)
        return ticket

    def redeem(self, ticket: str) -> str | None:
        """What the ticket stands for, which is worth nothing from then on."""
        with self._lock:
            until, for_what = self._tickets.pop(ticket, (0.0, ""))
        return for_what if until > self._clock() else None
