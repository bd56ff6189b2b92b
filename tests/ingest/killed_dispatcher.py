"""A worker that is killed at a step of a command's life: arguments are database, broker, topic root and the step."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

from db import command_reports, commands, dispatching
from ingest import dispatcher
from ingest.command_sender import CommandSender
from ingest.subscriber import Mqtt5Subscriber
from tests.ingest.worker import Worker


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    setattr(owner, name, die)


def after(owner: Any, name: str) -> None:
    whole: Callable[..., Any] = getattr(owner, name)

    def dies_after(*arguments: Any, **options: Any) -> Any:
        whole(*arguments, **options)
        die()

    setattr(owner, name, dies_after)


def at_commit(owner: Any, name: str) -> None:
    """At the commit of the transaction in which this was called."""
    whole: Callable[..., Any] = getattr(owner, name)
    doomed = threading.local()

    def dooms(*arguments: Any, **options: Any) -> Any:
        found = whole(*arguments, **options)
        doomed.now = bool(found)
        return found

    setattr(owner, name, dooms)
    event.listen(Engine, "commit", lambda _: die() if getattr(doomed, "now", False) else None)


def after_commit(owner: Any, name: str, then: Any, next_name: str) -> None:
    """At the first call of the other after this one gave something."""
    whole, following = getattr(owner, name), getattr(then, next_name)
    doomed = threading.Event()

    def dooms(*arguments: Any, **options: Any) -> Any:
        found = whole(*arguments, **options)
        if found or name == "_note_answers":
            doomed.set()
        return found

    def dies(*arguments: Any, **options: Any) -> Any:
        return die() if doomed.is_set() else following(*arguments, **options)

    setattr(owner, name, dooms)
    setattr(then, next_name, dies)


ARMS: dict[str, Callable[[], None]] = {
    "before it is noted to go out": lambda: before(dispatching, "note_sending"),
    "after it is noted to go out": lambda: before(CommandSender, "send"),
    "after it went out": lambda: after(CommandSender, "send"),
    "before its acknowledgement is noted": lambda: before(dispatcher, "_note_answers"),
    "after its acknowledgement is noted": lambda: after_commit(
        dispatcher, "_note_answers", dispatcher.Dispatcher, "_look_at_table"
    ),
    "before the report is committed": lambda: at_commit(command_reports, "take"),
    "after the report is committed": lambda: after_commit(command_reports, "take", Mqtt5Subscriber, "acknowledge"),
    "before its end is recorded": lambda: at_commit(commands, "settle"),
}


def main() -> None:
    database_url, broker_url, root, step = sys.argv[1:]
    ARMS[step]()
    worker = Worker(database_url, broker_url, root, commands=True)
    worker.start()
    worker.connected()
    print("connected", flush=True)  # noqa: T201 - the test reads it
    threading.Event().wait(60)


if __name__ == "__main__":
    main()
