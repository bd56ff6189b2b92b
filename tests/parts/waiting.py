"""Commands that wait, as many as a test wants."""

from __future__ import annotations

from typing import Final

from sqlalchemy import insert

from db.engine import Engine, writing
from db.schema import commands

_FAR: Final = 4_000_000_000_000


def fill(engine: Engine, count: int) -> None:
    """Queue so many at once, each for a device that does not exist."""
    rows = [
        {
            "id": f"waiting-{number}",
            "device": f"waiting{number}",
            "actuator": "led",
            "state": "ON",
            "status": "queued",
            "made_by": "anna",
            "address": "",
            "made_at": 1,
            "deadline_at": _FAR,
            "settled": 0,
        }
        for number in range(count)
    ]
    with writing(engine) as connection:
        connection.execute(insert(commands), rows)
