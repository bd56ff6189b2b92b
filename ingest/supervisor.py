"""What systemd is told: that we are ready, how we are, and, as long as the worker's loop comes round, that we live.

Its protocol is a datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). Started by
hand there is none, and nobody is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, Self

from ingest.health import Health

log = logging.getLogger(__name__)

#: A statement that a frozen database does not answer is given up after 20 s, and a turn has several. Who takes longer
#: than this hangs, and only a new start helps. A database or a broker that is away is another matter: no start brings
#: it back.
LONGEST_TURN_S: Final = 90.0
#: How often systemd hears how we are where it sets no watchdog.
_TELL_S: Final = 10.0
#: Of the watchdog's patience, between two signs of life: one may be late.
_SHARE: Final = 1 / 3


class Supervisor:
    """The other end of `NOTIFY_SOCKET`. `address` None: nobody is there. `watchdog_s`: its patience, None: endless."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._watchdog_s = watchdog_s

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """As systemd's environment says. What it says for another process of the service is not for us."""
        patience = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        return cls(
            environment.get("NOTIFY_SOCKET") or None, int(patience) / 1e6 if ours and patience.isdecimal() else None
        )

    @property
    def beat_s(self) -> float:
        """Seconds between two calls of `beat`."""
        return _TELL_S if self._watchdog_s is None else min(_TELL_S, self._watchdog_s * _SHARE)

    def ready(self) -> None:
        """We serve, or take what comes. Neither database nor broker are waited for."""
        self._tell("READY=1")

    def beat(self, health: Health) -> None:
        """How we are, and a sign of life unless the worker hangs."""
        status = f"STATUS={_words(health)}"
        self._tell(status if hangs(health) else f"{status}\nWATCHDOG=1")

    def stopping(self) -> None:
        """We are about to end."""
        self._tell("STOPPING=1")

    def _tell(self, lines: str) -> None:
        if self._address is None:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.sendto(lines.encode(), socket.MSG_DONTWAIT, address)
        except OSError as error:  # one that is lost is followed by the next
            log.debug("systemd does not hear us: %s", error)


def hangs(health: Health) -> bool:
    """Whether the worker's loop has not come round for so long that only a new start helps."""
    return health.turn_s is not None and health.turn_s > LONGEST_TURN_S


def _words(health: Health) -> str:
    """How we are, in one line."""
    if hangs(health):
        return f"The worker's loop has not come round for {health.turn_s:.0f} s."
    if health.database.state != "connected":
        text = f"Waiting for the database: {health.database.problem or 'connecting'}"
    elif health.broker.state != "connected":
        text = f"Waiting for the broker: {health.broker.problem or 'connecting'}"
    else:
        text = f"{health.account.messages}"
    return " ".join(text.split())


@contextlib.asynccontextmanager
async def supervised(supervisor: Supervisor, health: Callable[[], Health]) -> AsyncIterator[None]:
    """While the server runs, tell systemd from its own event loop: one that is stuck gives no sign of life either."""

    async def report() -> None:
        while True:
            supervisor.beat(health())
            await asyncio.sleep(supervisor.beat_s)

    supervisor.ready()
    reporting = asyncio.create_task(report())
    try:
        yield
    finally:
        supervisor.stopping()
        reporting.cancel()
