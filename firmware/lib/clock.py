"""Time on a board: how long it has run, and once a time server has answered, UTC. Whole numbers alone."""

import time


class Clock:
    """Seconds and ms since the start; with `known`, UTC by adding what `set` found out.

    `advance` must be called at least every few days, or the counter below wraps unseen; the guardian does it.
    """

    def __init__(self) -> None:
        self.seconds = self.ms = 0
        self.known = False
        #: Whether it is decided how readings tell their time: a time server answered, or did not in time.
        self.settled = False
        self.utc_seconds = self.utc_ms = 0
        self._ticks = time.ticks_ms()
        self._base_seconds = self._base_ms = 0

    def advance(self) -> None:
        """Bring `seconds` and `ms` up to date."""
        now = time.ticks_ms()
        total = self.ms + time.ticks_diff(now, self._ticks)
        self._ticks = now
        self.seconds += total // 1000
        self.ms = total % 1000

    def set(self, utc_seconds: int, utc_ms: int) -> None:
        """It is that time now, in seconds since 1970 and ms."""
        self.advance()
        self._base_seconds = utc_seconds - self.seconds
        self._base_ms = utc_ms - self.ms
        self.known = self.settled = True

    def to_utc(self, seconds: int, ms: int) -> None:
        """Set `utc_seconds` and `utc_ms` to when this board had run so long. Only while `known`."""
        total = ms + self._base_ms
        self.utc_seconds = seconds + self._base_seconds + total // 1000
        self.utc_ms = total % 1000

    def age_ms(self, seconds: int, ms: int) -> int:
        """How many ms ago this board had run so long."""
        self.advance()
        return max(0, (self.seconds - seconds) * 1000 + self.ms - ms)
