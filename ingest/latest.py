"""Writes what changed on the board to `latest` and to the devices' `last_seen`, in a thread of its own.

Apart from the loop that stores: its commit costs some milliseconds a second, in which a reading would have to wait, and
behind a long batch `latest` would grow old. What is not written when the process dies is repaired at the next start.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from db import devices, readings
from db.engine import DatabaseAway, Engine, is_deadlock, writing
from ingest.snapshot import Board
from ingest.vitals import Vitals
from ingest.writer import Writer

#: The thread that runs this, and who it is to `Vitals`.
THREAD = "latest"
#: The pause is so many times what the last write took, so that a large fleet takes no more than a tenth of the time of
#: this process and the database; but at most so many times the usual one.
_TIMES: Final = 10
_LONGEST: Final = 2


class Latest:
    """One thread runs it. `writer` is the ingest thread's, and is asked for the numbers of series and devices alone."""

    def __init__(self, engine: Engine, board: Board, writer: Writer, vitals: Vitals, flush_s: float) -> None:
        self._engine = engine
        self._board = board
        self._writer = writer
        self._vitals = vitals
        self._flush_s = flush_s
        self._written_version = 0
        self._changed = threading.Event()

    def run(self, ready: threading.Event, stopping: threading.Event) -> None:
        """Until `stopping`, write what is new, at most every `flush_s`, of a large fleet half as often.

        `wake` it when the tables are `ready`.
        """
        end = self._board.listen(self._changed.set)
        try:
            while not stopping.is_set():
                self._changed.wait()
                self._changed.clear()
                began = time.monotonic()
                if ready.is_set() and not stopping.is_set() and self._try():
                    pause = max(self._flush_s, _TIMES * (time.monotonic() - began))
                    stopping.wait(min(pause, _LONGEST * self._flush_s))
        finally:
            end()

    def wake(self) -> None:
        """Look again, from another thread: at the tables that are ready, or at the end."""
        self._changed.set()

    def write(self) -> bool:
        """Write what changed since the last time; False where nothing did. Raises DatabaseAway."""
        current = self._board.current
        changed = current.changed_since(self._written_version)
        if not changed:
            return False
        rows = [
            (series_id, series.ts, series.value, series.received_at)
            for device in changed
            for series in device.metrics.values()
            if series.version > self._written_version
            and (series_id := self._writer.series_id(device.name, series.metric)) is not None
        ]
        with writing(self._engine) as connection:
            readings.store_latest(connection, rows)
            ids = self._writer.device_ids(connection, [device.name for device in changed])
            seen = {ids[device.name]: device.last_seen for device in changed if device.name in ids}
            devices.store_last_seen(connection, seen)
        self._written_version = current.version
        return True

    def _try(self) -> bool:
        """Whether the database was asked."""
        try:
            asked = self.write()
        except DatabaseAway as away:
            if not is_deadlock(away):  # else it met a batch, and is the one to begin anew
                self._vitals.database_lost(str(away), by=THREAD)
            self._changed.set()  # it is still to be written
            return True
        if asked:
            self._vitals.database_connected(by=THREAD)
        return asked
