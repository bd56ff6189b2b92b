"""Changes to a device, made in one transaction with their entry in the audit log, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from db.engine import Connection, DatabaseAway, write
from db.rights import Actor, Unknown
from db.targets import UnknownTarget
from ingest import placing
from pages.parts.clock import now_ms
from pages.parts.login import actor_of, check_role
from pages.parts.notes import attempt, note_done
from runtime import get_runtime

#: Does it: given the transaction, the key of the audit log, who does it, and when (UTC ms).
Change = Callable[[Connection, bytes, Actor, int], object]

GONE: Final = "There is no such device or actuator any more; somebody may have removed it meanwhile."


def change(device: str, do: Change, done: str) -> bool:
    """Do it as the admin who is logged in, and say so on the page's next run; whether it was done."""
    who = actor_of(check_role("admin"))
    runtime = get_runtime()

    def once() -> None:
        try:
            write(runtime.engine, lambda connection: do(connection, runtime.doors.key("audit"), who, now_ms()))
        except UnknownTarget as gone:
            raise Unknown(GONE) from gone

    changed, _ = attempt(once)
    if changed:
        show_anew(device)
        note_done(done)
    return changed


def show_anew(device: str) -> None:
    """Bring what is stored of a device to the board, which every page reads."""
    with suppress(DatabaseAway):  # it went away since; the board is filled anew when it is back
        placing.show(get_runtime().engine, get_runtime().board, device)
