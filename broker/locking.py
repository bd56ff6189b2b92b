"""One command at a time changes what is in a broker's directory."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from broker.creation import DirectoryError
from broker.directory import BrokerDirectory

_PATIENCE_S: Final = 30.0
_LOOK_S: Final = 0.05


@contextmanager
def locked(directory: BrokerDirectory) -> Iterator[None]:
    """One at a time changes what is in the directory. Raises DirectoryError if another does for too long."""
    if not directory.path.is_dir():
        raise DirectoryError(
            f"There is no {directory.path}. Make a broker: python -m broker init --dir {directory.path}"
        )
    with directory.lock.open("a") as file:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DirectoryError(f"{directory.path} is being changed by another command; try again.") from None
                time.sleep(_LOOK_S)  # flock tells nobody when it is free
        yield
