"""An export on its way: written at the database's own speed into a file without a name, and read from there meanwhile.

So a slow reader holds no transaction, and whatever kills the process leaves no file behind.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final, cast

from db.engine import Engine, snapshot
from db.export_formats import write
from db.exports import Format, Plan, blocks, estimate

#: Of what is free on the disk an export may take one part in so many.
_SHARE: Final = 2


class NoRoom(Exception):
    """The disk has too little room for this export."""


class _Stopped(Exception):
    """Nobody waits for it any more."""


class ExportJob:
    """One export. `read` gets it piece by piece, from any thread; `close` ends it, at whatever point."""

    def __init__(self, engine: Engine, plan: Plan, form: Format, directory: Path, ended: Callable[[], None]) -> None:
        """`ended` is called once, when the query is over.

        Raises NoRoom where half of the disk's free space would not do, DatabaseAway.
        """
        self._engine, self._plan, self._form, self._ended = engine, plan, form, ended
        self._most = shutil.disk_usage(directory).free // _SHARE
        with snapshot(engine) as connection:
            likely = estimate(connection, plan, form)
        if likely > self._most:
            raise NoRoom(
                f"This export would take some {likely / 1e6:,.0f} MB, and {self._most / 1e6:,.0f} MB are left for one. "
                "Ask for a shorter range, fewer series or a coarser resolution."
            )
        self._file = cast("IO[bytes]", tempfile.TemporaryFile(dir=directory, buffering=0))  # noqa: SIM115 - `close` does
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._written = 0
        self._over = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def read(self, offset: int, most: int, wait_s: float) -> bytes | None:
        """What stands at `offset`, at most so many bytes of it; nothing if it is not there within `wait_s`.

        None: the file ends there. Raises NoRoom, DatabaseAway, and whatever else ended the writing before its end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._written > offset, wait_s)
            there = self._written - offset
            if there <= 0 and self._over:
                if self._error is not None:
                    raise self._error
                return None
            if there <= 0 or self._file.closed:
                return b""
            return os.pread(self._file.fileno(), min(there, most), offset)

    def size(self, wait_s: float) -> int | None:
        """Bytes of the whole file, None if it is not whole within `wait_s`. Raises as `read`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._over, wait_s):
                return None
            if self._error is not None:
                raise self._error
            return self._written

    def close(self) -> None:
        """Throw the file away; what still writes ends with its present piece."""
        self._stop.set()
        with self._changed:
            if self._over:
                self._file.close()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            with snapshot(self._engine) as connection, closing(blocks(connection, self._plan)) as rows:
                write(self._form, cast("IO[bytes]", _Sink(self._take)), self._plan, rows)
        except Exception as caught:  # noqa: BLE001 - it is for whoever reads
            error = caught.with_traceback(None)  # which would keep what was read in memory
        with self._changed:
            self._error = error
            self._over = True
            if self._stop.is_set():
                self._file.close()
            self._changed.notify_all()
        self._ended()

    def _take(self, data: Any) -> int:
        """Write all of it. Raises _Stopped, NoRoom."""
        view = memoryview(data).cast("B")
        if self._stop.is_set():
            raise _Stopped
        if self._written + len(view) > self._most:
            raise NoRoom("The export was cut off, because it would have taken more than half of the disk's free space.")
        done = 0
        try:
            while done < len(view):
                done += os.write(self._file.fileno(), view[done:])
        except OSError as error:
            raise NoRoom(f"The export was cut off, because its file can't be written: {error.strerror}.") from error
        with self._changed:
            self._written += len(view)
            self._changed.notify_all()
        return len(view)


class _Sink(io.RawIOBase):
    """A file that can only be written on, as the libraries that write files want one."""

    def __init__(self, take: Callable[[Any], int]) -> None:
        super().__init__()
        self._take = take
        self._at = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes so far."""
        return self._at

    def write(self, data: Any) -> int:
        """Take all of it."""
        self._at += self._take(data)
        return memoryview(data).nbytes
