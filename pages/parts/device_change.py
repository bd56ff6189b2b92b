"""Changes to a device, made in one transaction with their entry in the audit log, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from db.engine import Connection, writing
from db.rights import Actor, Unknown
from db.targets import UnknownTarget
from pages.parts.clock import now_ms
from pages.parts.login import actor_of, check_role
from pages.parts.notes import attempt, note_done
from pages.parts.places import every_place
from runtime import get_runtime

#: Does it: given the transaction, the key of the audit log, who does it, and when (UTC ms).
Change = Callable[[Connection, bytes, Actor, int], object]

GONE: Final = "There is no such device or actuator any more; somebody may have removed it meanwhile."


def change(do: Change, done: str) -> bool:
    """Do it as the admin who is logged in, and say so on the page's next run; whether it was done."""
    who = actor_of(check_role("admin"))
    runtime = get_runtime()

    def write() -> None:
        try:
            with writing(runtime.engine) as connection:
                do(connection, runtime.doors.key("audit"), who, now_ms())
        except UnknownTarget as gone:
            raise Unknown(GONE) from gone

    changed, _ = attempt(write)
    if changed:
        every_place.clear()
        note_done(done)
    return changed
