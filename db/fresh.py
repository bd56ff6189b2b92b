"""Answers of the database that hold for a moment, so that a page that asks often does not ask the database as often."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MOST: Final = 10_000


class Fresh(Generic[T]):
    """Answers by key, each for `fresh_s` seconds. `clear()` at a change: no answer from before it is kept."""

    def __init__(self, fresh_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fresh_s = fresh_s
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._changes = 0

    def get(self, key: str, ask: Callable[[], T]) -> T:
        """What `ask` answers, now or a moment ago. What it raises passes."""
        now = self._clock()
        with self._lock:
            kept = self._answers.get(key)
            changes = self._changes
        if kept is not None and now - kept[0] < self._fresh_s:
            return kept[1]
        answer = ask()
        with self._lock:
            if self._changes == changes:
                self._answers[key] = (now, answer)
                self._answers.move_to_end(key)
                if len(self._answers) > _MOST:
                    self._answers.popitem(last=False)
        return answer

    def clear(self) -> None:
        """Forget all, and what is being asked at this moment too."""
        with self._lock:
            self._answers.clear()
            self._changes += 1
