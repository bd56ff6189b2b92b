"""A worker that is killed at a step of a command's life, and asked for things in its own process.

Arguments are database, broker, topic root, the worker's name, its group (empty: none) and the step. Each line that it
reads is something to ask the LED for, or `HAND_OVER`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Engine, event

from db import command_reports, commands, dispatching, ended_commands
from db.commands import Command
from db.engine import writing
from ingest import dispatcher
from ingest.command_sender import CommandSender
from ingest.service import Service
from ingest.subscriber import Mqtt5Subscriber
from ingest.vitals import now_ms
from tests.ingest.command_desk import Desk
from tests.ingest.worker import Worker

#: What a polling device is given.
HAND_OVER: Final = "hand over"


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


def at_commit(owner: Any, name: str, doom: Callable[[Any], bool] = bool) -> None:
    """At the commit of the transaction in which this was called and gave something that dooms."""
    whole: Callable[..., Any] = getattr(owner, name)
    doomed = threading.local()

    def dooms(*arguments: Any, **options: Any) -> Any:
        found = whole(*arguments, **options)
        doomed.now = doom(found)
        return found

    setattr(owner, name, dooms)
    event.listen(Engine, "commit", lambda _: die() if getattr(doomed, "now", False) else None)


def after_commit(owner: Any, name: str, then: Any, next_name: str, doom: Callable[[Any], bool] = bool) -> None:
    """At the first call of the other, in the same thread, after this one gave something that dooms."""
    whole, following = getattr(owner, name), getattr(then, next_name)
    doomed = threading.local()

    def dooms(*arguments: Any, **options: Any) -> Any:
        found = whole(*arguments, **options)
        doomed.now = getattr(doomed, "now", False) or doom(found)
        return found

    def dies(*arguments: Any, **options: Any) -> Any:
        return die() if getattr(doomed, "now", False) else following(*arguments, **options)

    setattr(owner, name, dooms)
    setattr(then, next_name, dies)


def always(_: object) -> bool:
    return True


def is_off(command: Command) -> bool:
    """Of two that are asked for, the second."""
    return command.state == "OFF"


#: Of one that goes out and is answered.
LIFE: Final[dict[str, Callable[[], None]]] = {
    "before it is noted to go out": lambda: before(dispatching, "note_sending"),
    "after it is noted to go out": lambda: before(CommandSender, "send"),
    "after it went out": lambda: after(CommandSender, "send"),
    "before its acknowledgement is noted": lambda: before(dispatcher, "_note_answers"),
    "after its acknowledgement is noted": lambda: after_commit(
        dispatcher, "_note_answers", dispatcher.Dispatcher, "_look_at_table", always
    ),
    "before the report is committed": lambda: at_commit(command_reports, "take"),
    "after the report is committed": lambda: after_commit(command_reports, "take", Mqtt5Subscriber, "acknowledge"),
    "before its end is recorded": lambda: at_commit(ended_commands, "settle"),
    "after its end is recorded": lambda: after_commit(
        ended_commands, "settle", dispatcher.Dispatcher, "_look_at_table"
    ),
}
#: Of one that nobody answers.
EXPIRY: Final[dict[str, Callable[[], None]]] = {
    "before it has expired": lambda: at_commit(command_reports, "expire"),
    "after it has expired": lambda: after_commit(command_reports, "expire", dispatcher.Dispatcher, "_look_at_table"),
}
#: Of one that takes the place of another, in the process where it is asked for.
ASKING: Final[dict[str, Callable[[], None]]] = {
    "before a second one is committed": lambda: at_commit(commands, "request", is_off),
    "after a second one is committed": lambda: after_commit(commands, "request", Service, "nudge_commands", is_off),
}
#: Of one that a polling device fetches, in the process that answers it.
HANDING_OVER: Final[dict[str, Callable[[], None]]] = {
    "before it is noted as handed over": lambda: at_commit(commands, "hand_over"),
    "before it is handed over": lambda: after_commit(commands, "hand_over", Service, "nudge_commands"),
}
#: By the test, while it is held back.
BY_HAND: Final = "while it is held back"
ARMS: Final = LIFE | EXPIRY | ASKING | HANDING_OVER | {BY_HAND: lambda: None}


def hand_over(worker: Worker) -> None:
    """As the API does it."""
    with writing(worker.database) as connection:
        commands.hand_over(connection, commands.waiting_for(connection, "d", now_ms()), now_ms())
    worker.service.nudge_commands()


def main() -> None:
    database_url, broker_url, root, name, group, step = sys.argv[1:]
    ARMS[step]()
    # A slow answer of the database is not what this is about, and would have it pass over the step at which it dies.
    worker = Worker(database_url, broker_url, root, name=name, group=group, commands=True, timeout_s=10.0)
    worker.start()
    worker.connected()
    print("connected", flush=True)  # noqa: T201 - the test reads it
    desk = Desk(worker)
    for line in sys.stdin:
        order = line.strip()
        if order == HAND_OVER:
            hand_over(worker)
        else:
            desk.ask(order)


if __name__ == "__main__":
    main()
