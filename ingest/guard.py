"""Keeps a thread's work going: an error nobody foresaw is said, shown, and followed by a new beginning."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ingest.patience import Backoff
from ingest.vitals import Vitals

log = logging.getLogger(__name__)


def guarded(name: str, run: Callable[[], None], backoff: Backoff, stopping: threading.Event, vitals: Vitals) -> None:
    """Call `run` until it returns; after an exception again, later each time, unless `stopping` is set."""
    wait = backoff.first_s
    while True:
        vitals.thread_runs(name)
        try:
            run()
        except Exception as error:
            log.exception("Thread %s failed; it begins again in %.1f s.", name, wait)
            vitals.thread_died(name, f"{type(error).__name__}: {error}")
            if stopping.wait(wait):
                return
            wait = min(wait * 2, backoff.longest_s)
        else:
            vitals.thread_died(name, None)
            return
