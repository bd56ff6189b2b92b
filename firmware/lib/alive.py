"""Whether the tasks of a board still run: each gives a sign, and the watchdog is fed while all of them are young."""

import time


class Alive:
    """Signs of `count` tasks, numbered from 0; one older than `stuck_ms` means that its task hangs."""

    def __init__(self, count: int, stuck_ms: int) -> None:
        self._stuck_ms = stuck_ms
        self._signs = [time.ticks_ms()] * count

    def sign(self, task: int) -> None:
        """Task number `task` runs."""
        self._signs[task] = time.ticks_ms()

    def stuck(self) -> int:
        """The first task that hangs, -1 if none does."""
        now = time.ticks_ms()
        for task in range(len(self._signs)):
            if time.ticks_diff(now, self._signs[task]) > self._stuck_ms:
                return task
        return -1
