"""The data folder, held by one process: two of them would be two workers with one name."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import IO, Final

_PATIENCE_S: Final = 10.0


class FolderRefused(Exception):
    """It can't be written, or another process has it. The text says what to do."""


def hold(data_dir: Path) -> IO[str]:
    """Hold the data folder for this process until what is returned is closed. Raises FolderRefused.

    The lock of a runtime that is just ending (*Clear cache*) is waited for.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise FolderRefused(f"The data folder {data_dir} can't be written: {error.strerror}. Set DATA_DIR.") from error
    deadline = time.monotonic() + _PATIENCE_S
    pause = threading.Event()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            if owner != str(os.getpid()) or time.monotonic() > deadline:
                lock.close()
                raise FolderRefused(_owner_says(owner, data_dir)) from None
            pause.wait(0.05)  # flock has no time-out to wait with
        else:
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            return lock


def _owner_says(owner: str, data_dir: Path) -> str:
    if owner == str(os.getpid()):  # an edit of get_runtime() itself gives it a new place in the cache
        return "This server runs already, and its runtime.py was changed. Restart it to use the new one."
    return (
        f"Another Smart Monitor (process {owner}) uses the data folder {data_dir}. "
        "Stop it, or set DATA_DIR to another folder."
    )
