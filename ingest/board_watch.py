"""Keeps on the board what no batch brings: commands, places, deleted devices, who is silent, whose bridge is away.

The database tells, whoever wrote it: this process or another. One thread asks, so that nothing older is ever hung up
over something newer.
"""

from __future__ import annotations

import time
from typing import Final

from db import bridges, commands, places, polls, removal
from db.engine import Connection
from ingest import standing
from ingest.snapshot import Board

#: A command that has ended stays on the board for this long.
KEPT_MS: Final = 60_000
#: Transactions end in another order than they began: steps of this long ago are looked for again, in seconds.
_OVERLAP_S: Final = 3.0
#: And so many at the beginning.
_STEPS_BACK: Final = 100


class BoardWatch:
    """Ask it to `look` often: it costs one small statement where nothing is new."""

    def __init__(self, board: Board, rest_s: float = 1.0) -> None:
        """`rest_s`: seconds between two looks at what need not be quick."""
        self._board = board
        self._rest_s = rest_s
        self._rest_at = 0.0
        self._floor: int | None = None
        #: Steps beyond the floor that were seen, with the monotonic seconds of that.
        self._seen: dict[int, float] = {}

    def begin(self) -> None:
        """The database was away, or this is the first look: know nothing."""
        self._floor, self._rest_at = None, 0.0
        self._seen.clear()

    def look(self, connection: Connection, now: int, listening_since: int | None) -> bool:
        """Hang up what is new at `now` (UTC ms); whether there were steps of commands. Raises DatabaseAway.

        `listening_since`: from when on what devices send reaches us, None while it does not.
        """
        news = self._steps(connection, now)
        if time.monotonic() >= self._rest_at:
            self._rest_at = time.monotonic() + self._rest_s
            removed, said = removal.removed(connection), places.every(connection)
            polling = {poll.device: poll for poll in polls.every(connection)}
            sites = bridges.every(connection)
            self._board.update(lambda current: standing.without(current, removed))
            self._board.update(lambda current: standing.with_places(current, said))
            self._board.update(lambda current: standing.with_commands(current, [], now - KEPT_MS))
            self._board.update(lambda current: standing.refreshed(current, polling, now, listening_since, sites))
        return news

    def _steps(self, connection: Connection, now: int) -> bool:
        if self._floor is None:
            # First from where to follow, then what there is: a step in between is found twice, and none is missed.
            self._floor = max(0, commands.last_step(connection) - _STEPS_BACK)
            changed = [*commands.open_commands(connection), *commands.ended_since(connection, now - KEPT_MS)]
            ids = {command.id for command in changed}
            self._board.update(lambda current: standing.with_commands_of(current, ids))
        else:
            numbers, changed = commands.changed(connection, self._floor, self._seen)
            at = time.monotonic()
            self._seen.update(dict.fromkeys(numbers, at))
            old = [number for number, seen_at in self._seen.items() if seen_at < at - _OVERLAP_S]
            self._floor = max(old, default=self._floor)
            for number in [number for number in self._seen if number <= self._floor]:
                del self._seen[number]
        if changed:
            self._board.update(lambda current: standing.with_commands(current, changed, now - KEPT_MS))
        return bool(changed)
