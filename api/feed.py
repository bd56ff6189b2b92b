"""What all streams of `/api/live/` send: taken from the board at one pace for all of them, and encoded once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from api.events import flush
from ingest.snapshot import Board

#: Seconds from one flush to the next, where encoding one is quick.
FLUSH_S: Final = 0.25
#: Else so many times what encoding the last one took of a core, which the worker in the same process wants as well: of
#: thousands of series that all change.
_TIMES: Final = 80
#: However long it took.
LONGEST_S: Final = 1.0
#: The same where a command or an actuator's state has changed, for which somebody may be waiting.
CONTROL_S: Final = 0.04


class Feed:
    """One board's changes. Used in one event loop; `now` is its clock, `cpu` what its thread took, both in seconds.

    Streams that keep up know the same version and so send the same bytes. One that lags behind, or comes back, has a
    flush of its own.
    """

    def __init__(self, board: Board, cpu: Callable[[], float] = time.thread_time) -> None:
        self.board = board
        self._cpu = cpu
        self._held = board.current
        self._flushes: dict[int | None, _Kept] = {}
        self._flushed_at = float("-inf")

    def since(self, known: int | None, now: float) -> tuple[int, Iterable[bytes]]:
        """The version a client knows next that knows `known` (None: nothing), and the bytes that bring it there."""
        if self.is_behind and self.pause(now) <= 0:
            self._held, self._flushes, self._flushed_at = self.board.current, {}, now
        if known is not None and known >= self._held.version:  # a page may be ahead of the pace
            return known, ()
        if known not in self._flushes:
            self._flushes[known] = _Kept(flush(self._held, known), self._cpu)
        return self._held.version, self._flushes[known]

    @property
    def is_behind(self) -> bool:
        """Whether the board has something that is not in here yet."""
        return self.board.current is not self._held

    def pause(self, now: float) -> float:
        """Seconds until the pace allows another flush."""
        urgent = self.board.current.control_version > self._held.control_version
        return max(0.0, self._flushed_at + (CONTROL_S if urgent else self._pace()) - now)

    def _pace(self) -> float:
        """Seconds from the last flush to the next."""
        took_s = sum(kept.took_s for kept in self._flushes.values())
        return min(max(FLUSH_S, _TIMES * took_s), LONGEST_S)


class Feeds:
    """The feed of the present board. *Clear cache* brings another one."""

    def __init__(self) -> None:
        self._feed: Feed | None = None

    def of(self, board: Board) -> Feed:
        """The one feed of this board."""
        if self._feed is None or self._feed.board is not board:
            self._feed = Feed(board)
        return self._feed


class _Kept:
    """What an iterator gives, made as far as somebody has read, and kept for who comes after."""

    def __init__(self, source: Iterator[bytes], cpu: Callable[[], float]) -> None:
        self._source, self._cpu = source, cpu
        self._parts: list[bytes] = []
        #: Seconds that making them took of a core.
        self.took_s = 0.0

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        while True:
            if read == len(self._parts):
                began = self._cpu()
                part = next(self._source, None)
                self.took_s += self._cpu() - began
                if part is None:
                    return
                self._parts.append(part)
            yield self._parts[read]
            read += 1
