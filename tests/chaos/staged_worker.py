"""`python -m ingest` whose clock, disk, names and end are in the test's hands; production code has no hook for it.

The file that LEVERS names says how, as JSON, and is read at the start and at each SIGUSR1:
`clock_ms` is added to the clock; `pages` is the most a SQLite file may have; `address` is where the broker's name
leads; `die` is [step, n]: SIGKILL at the n-th time of the step, counted from the start.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from ingest import __main__ as program
from ingest import negotiated_subscriber
from ingest.message import Message
from ingest.subscriber import Mqtt5Subscriber

#: Under this name, and by nobody but a staged worker, the broker is found where the lever `address` says.
BROKER_NAME: Final = "broker.test"
_real_time_ns = time.time_ns
_real_getaddrinfo = socket.getaddrinfo
_NO_LIMIT: Final = 1_073_741_823
levers: dict[str, Any] = {}


def read_levers(*_: object) -> None:
    levers.update(json.loads(Path(os.environ["LEVERS"]).read_text()))


def time_ns() -> int:
    return _real_time_ns() + int(levers.get("clock_ms", 0)) * 1_000_000


def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    return _real_getaddrinfo(levers["address"] if host == BROKER_NAME else host, *arguments, **options)


class Doom:
    """Counts the times of the step that was chosen, of the thread that stores: others have connections as well."""

    def __init__(self) -> None:
        #: Messages that were received and not yet acknowledged.
        self.in_hand = 0
        self._count = 0

    def begin(self) -> None:
        """What was not acknowledged comes again."""
        if _stores():
            self.in_hand = 0

    def take(self, messages: int) -> None:
        """So many more are in hand."""
        if _stores():
            self.in_hand += messages

    def at(self, step: str) -> None:
        chosen, times = levers.get("die", ["", 0])
        if step == chosen and _stores():
            self._count += 1
            if self._count == times:
                os.kill(os.getpid(), signal.SIGKILL)


def _stores() -> bool:
    return threading.current_thread().name == "ingest"


doom = Doom()


class DoomedSubscriber(Mqtt5Subscriber):
    """Can die with a batch in hand, or with half of it acknowledged."""

    def connect(self) -> None:
        doom.begin()
        super().connect()

    def receive(self, timeout_s: float) -> list[Message]:
        messages = super().receive(timeout_s)
        doom.take(len(messages))
        return messages

    def acknowledge(self, messages: Sequence[Message]) -> None:
        doom.take(-len(messages))
        doom.at("after commit")
        half = len(messages) // 2
        super().acknowledge(messages[:half])
        if half:
            doom.at("between acknowledgements")
        super().acknowledge(messages[half:])


def before_commit(_: object) -> None:
    if doom.in_hand:
        doom.at("before commit")


def limit_pages(connection: Any, *_: object) -> None:
    if hasattr(connection, "execute"):
        connection.execute(f"PRAGMA max_page_count = {int(levers.get('pages', _NO_LIMIT))}")


def main() -> None:
    read_levers()
    signal.signal(signal.SIGUSR1, read_levers)
    time.time_ns = time_ns
    socket.getaddrinfo = getaddrinfo
    event.listen(Engine, "commit", before_commit)
    event.listen(Engine, "checkout", limit_pages)
    vars(negotiated_subscriber)["Mqtt5Subscriber"] = DoomedSubscriber
    program.work()


if __name__ == "__main__":
    main()
