"""Work that a page starts and does not wait for: a thread of its own, and how far it is as one immutable word."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Final

from db.engine import DatabaseError

log = logging.getLogger(__name__)

#: How long a page waits for work that is quick, in seconds.
PATIENCE_S: Final = 0.7
_AWAY: Final = "The database went out of reach: {}. What was done until then stands; do the rest again when it is back."
_BROKE: Final = "This went wrong, and the server's log says why. What was done until then stands."
_STOPPED: Final = "The server is about to end. What was done until then stands."


class JobFailed(Exception):
    """The work found that something is not well. The text is a sentence for a person."""


class Job:
    """Runs `work` to its end in a thread. What it yields tells how far it is; the last one is the result.

    `stopping` ends it between two steps.
    """

    def __init__(self, name: str, work: Generator[str], stopping: threading.Event) -> None:
        self.words = ""
        self.failed = False
        self._work = work
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for its end; whether it came."""
        self._thread.join(seconds)
        return not self.running

    def _run(self) -> None:
        try:
            with closing(self._work):
                for words in self._work:
                    self.words = words
                    if self._stopping.is_set():
                        self.words, self.failed = f"{words} {_STOPPED}", True
                        return
        except JobFailed as found:
            self.words, self.failed = str(found), True
        except DatabaseError as error:
            self.words, self.failed = f"{self.words} {_AWAY.format(error)}".strip(), True
        except Exception:
            log.exception("%s failed.", self._thread.name)
            self.words, self.failed = f"{self.words} {_BROKE}".strip(), True


class Bench:
    """Where a process's one job of a kind lies. Pages of several people share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Job | None = None

    def start(self, make: Callable[[], Job]) -> Job | None:
        """Start one, None if one is at work."""
        with self._lock:
            if self._job is not None and self._job.running:
                return None
            self._job = make()
            return self._job
