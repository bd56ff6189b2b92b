"""How many messages a store holds by now: asked from outside, so that nothing runs inside the worker."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import make_url

from benchmarks import parts

POLL_S: Final = 0.05
#: A store that takes nothing for this long has had all it will take.
_STALL_S: Final = 20.0

_BOTH: Final = "SELECT COALESCE(SUM(n), 0) FROM (SELECT {0} AS n FROM batches UNION ALL SELECT {0} FROM account) AS b"
#: Messages that are settled, by the workers' account: rows of batches and rows already folded.
ACCOUNT: Final = _BOTH.format("stored + duplicate + rejected")
#: Readings that were new, the same way: to count the rows themselves takes a minute where there are many.
READINGS: Final = _BOTH.format("readings_stored")


@dataclass(frozen=True, slots=True)
class Progress:
    """From the first look that found something to the one that found all of it, in seconds and messages."""

    messages: int
    seconds: float
    counted: int

    @property
    def rate(self) -> float:
        """Messages a second between these two looks: what the first one found was stored before it."""
        return self.counted / self.seconds


@contextmanager
def counter(url: str, query: str) -> Iterator[Callable[[], int]]:
    """Asks a database for one number, again and again."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(address.database or "", timeout=20)) as lite:
            yield lambda: int(lite.execute(query).fetchone()[0])
        return
    with parts.connect(url) as connection, connection.cursor() as cursor:

        def ask() -> int:
            cursor.execute(query)
            row = cursor.fetchone()
            return int(row[0] or 0) if row else 0

        yield ask


def watch(count: Callable[[], int], total: int, began: float) -> Progress:
    """Look every 50 ms until `total` are there, or nothing was added for 20 s. `began`: monotonic, of the start."""
    first, first_at = 0, began
    last, last_at = 0, began
    while last < total and time.monotonic() - last_at < _STALL_S:
        found, now = count(), time.monotonic()
        if found > last:
            if not first and found < total:
                first, first_at = found, now
            last, last_at = found, now
        time.sleep(POLL_S)
    return Progress(last, max(last_at - first_at, 1e-3), last - first)
