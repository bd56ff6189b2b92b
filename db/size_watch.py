"""Looks now and then how much the database takes, in a thread of its own: nobody who asks waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from db import sizes
from db.engine import DatabaseError, Engine
from db.sizes import Sizes

log = logging.getLogger(__name__)

#: A look that failed is repeated after this.
_AGAIN_S: Final = 10.0


class SizeWatch:
    """Looks when it is asked and the last look is too old. Any thread may ask."""

    def __init__(
        self,
        engine: Engine,
        *,
        good_for_s: float = 600.0,
        again_s: float = _AGAIN_S,
        measure: Callable[[Engine, int], Sizes] = sizes.measure,
    ) -> None:
        """`good_for_s`: for how long a look is new enough."""
        self._engine = engine
        self._good_for_s = good_for_s
        self._again_s = again_s
        self._measure = measure
        self._lock = threading.Lock()
        self._last: Sizes | None = None
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def current(self) -> Sizes | None:
        """What was seen last, None before the first look has ended. At once; a new look begins if it is time."""
        with self._lock:
            idle = self._thread is None or not self._thread.is_alive()
            if idle and time.monotonic() >= self._due:
                self._thread = threading.Thread(target=self._look, name="sizes", daemon=True)
                self._thread.start()
            return self._last

    def close(self, timeout_s: float = 1.0) -> None:
        """Look no more; wait for a look that is going on."""
        with self._lock:
            self._due = float("inf")
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _look(self) -> None:
        pause, found = self._again_s, None
        try:
            found = self._measure(self._engine, time.time_ns() // 1_000_000)
            pause = self._good_for_s
        except DatabaseError as error:
            log.debug("How much the database takes is not known now: %s", error)
        finally:
            with self._lock:
                self._last = found or self._last
                self._due = max(self._due, time.monotonic() + pause)
