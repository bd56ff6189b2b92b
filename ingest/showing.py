"""What is stored, on its way to the board.

While nothing else waits it is there at once. While the backlog of a large fleet is worked off, batches are shown
together twice a second: a device that is in each of them is made anew once for all. One thread uses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ingest.outcome import Outcome
from ingest.snapshot import Board, Change, apply

#: Devices in a batch from which on it waits for those that follow. Of fewer, what is kept costs more than it saves.
_MANY: Final = 1_000


class Showing:
    """Takes outcomes, in order, and shows them `every_s` seconds at most after one another.

    `reported` is called when something is shown that a device says of itself, which is never late: it may have ended a
    command.
    """

    def __init__(
        self,
        board: Board,
        every_s: float,
        reported: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board, self._every_s, self._reported, self._clock = board, every_s, reported, clock
        self._waiting: list[Change] = []
        self._many = False
        self._due_at = 0.0

    @property
    def waits(self) -> bool:
        """Whether anything is stored and not shown."""
        return bool(self._waiting)

    def take(self, outcome: Outcome) -> None:
        """Show this later, but for reports, with which all is shown now."""
        self._waiting += outcome.changes
        self._many = len(outcome.changes) >= _MANY
        if outcome.reports:
            self.show()
            self._reported()

    def show_if_due(self) -> None:
        """Show what waits, unless it is of many devices and that was done a moment ago."""
        if self._waiting and (not self._many or self._clock() >= self._due_at):
            self.show()

    def show(self) -> None:
        """Show what waits."""
        if self._waiting:
            changes, self._waiting = self._waiting, []
            self._board.update(lambda current: apply(current, changes))
            self._due_at = self._clock() + self._every_s
