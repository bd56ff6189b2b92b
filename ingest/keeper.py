"""Which of several workers is the keeper: the one that takes presence and states, and does the upkeep for all.

A lease in the database decides. The upkeep thread takes and renews it with each heartbeat; other threads ask here, from
memory, and put `fence` into the transaction of what only the keeper may write.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from db import leases
from db.engine import Connection

log = logging.getLogger(__name__)

#: What the keeper's connection is called, and what it took in the account: the worker's name and this.
SUFFIX: Final = "-keeper"


@dataclass(frozen=True, slots=True)
class _Tenure:
    """What the last heartbeat learned. `until`: monotonic seconds; without another by then the lease may be gone."""

    held: bool = False
    until: float = 0.0


class Keeper:
    """One start of one worker, in its part of the keeper. Any thread may ask; the upkeep thread alone takes."""

    def __init__(self, worker: str, token: str, lease_s: float) -> None:
        self._worker, self._token, self._lease_s = worker, token, lease_s
        self._tenure = _Tenure()
        self._lock = threading.Lock()
        #: A start that takes the place of one that was killed need not wait; one that lost its place waits.
        self._inherits = True
        self._turn, self._over = threading.Event(), threading.Event()
        self._over.set()
        self._closed = False

    @property
    def worker(self) -> str:
        """The worker's name."""
        return self._worker

    @property
    def holds(self) -> bool:
        """Whether this worker is the keeper, and certainly so: the lease was renewed less than its length ago."""
        tenure = self._tenure
        return tenure.held and not self._closed and time.monotonic() < tenure.until

    @property
    def over(self) -> threading.Event:
        """Set while another worker may be the keeper, and for good from `close()` on. To wait for, never to set."""
        return self._over

    def await_turn(self) -> bool:
        """Wait until this worker is the keeper; False once it is closed."""
        self._turn.wait()
        return not self._closed

    @property
    def closed(self) -> bool:
        """Whether this worker was told to stop."""
        return self._closed

    def beat(self, connection: Connection) -> bool:
        """Take or renew the lease, in the heartbeat's transaction; whether it is ours. `settle` it when committed."""
        if self._tenure.held:
            return leases.renew(connection, leases.KEEPER, self._token)
        free_after_ms = round(self._lease_s * 1000)
        return leases.take(connection, leases.KEEPER, self._worker, self._token, free_after_ms, inherit=self._inherits)

    def settle(self, held: bool, asked_at: float) -> None:
        """The heartbeat is committed. `asked_at`: monotonic seconds before its transaction began."""
        with self._lock:
            before, self._tenure = self._tenure, _Tenure(held, asked_at + self._lease_s)
            if held and not self._closed:
                self._inherits = False
                self._over.clear()
                self._turn.set()
            elif not held and not self._closed:
                self._turn.clear()
                self._over.set()
        if held and not before.held:
            log.info("This worker is the keeper: presence, states and upkeep are its own.")
        if before.held and not held:
            log.warning("Another worker has become the keeper. This one goes on storing telemetry; nothing is lost.")

    def lost(self) -> None:
        """The fence said so."""
        self.settle(False, 0.0)

    def fence(self, connection: Connection) -> None:
        """At the beginning of a transaction in which the keeper alone may write. Raises LeaseLost."""
        leases.fence(connection, leases.KEEPER, self._token)

    def release(self, connection: Connection) -> None:
        """Give the lease back at an orderly end, so that the next keeper need not wait."""
        leases.release(connection, leases.KEEPER, self._token)

    def close(self) -> None:
        """End all waiting here, for good."""
        with self._lock:
            self._closed = True
            self._over.set()
            self._turn.set()
