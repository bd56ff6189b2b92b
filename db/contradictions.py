"""Dead letters of readings that, when they were merged, turned out to contradict what was sealed, or to be too late."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from db.dead_letters import DeadLetter
from db.schema import devices, series
from db.statements import in_chunks
from db.terminal import clock

#: Readings in one letter, so that its reason has room for each.
_TOGETHER: Final = 8


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A reading at `ts` (UTC ms) with a value that is not the one that is kept; None: none is kept that long."""

    ts: int
    value: float
    kept: float | None


def letters(
    connection: Connection, topic_root: str, series_id: int, found: Sequence[Contradiction], now: int
) -> list[DeadLetter]:
    """Letters that hold these readings of a series, as its device would have sent them. `now` is UTC ms."""
    query = (
        select(devices.c.name, series.c.metric)
        .join(devices, devices.c.id == series.c.device_id)
        .where(series.c.id == series_id)
    )
    row = connection.execute(query).one_or_none()
    device, metric = (row.name, row.metric) if row is not None else (f"series-{series_id}", "value")
    return [_letter(_topic(device, topic_root), metric, part, now) for part in in_chunks(found, _TOGETHER)]


def _letter(topic: str, metric: str, found: Sequence[Contradiction], now: int) -> DeadLetter:
    payload = json.dumps([{"ts": one.ts, metric: one.value} for one in found]).encode()
    reason = "; ".join(_sentence(metric[:40], one) for one in found)
    return DeadLetter(now, topic, payload, len(payload), reason)


def _sentence(metric: str, one: Contradiction) -> str:
    which = f"{metric}: {one.value!r} at {clock(one.ts)}"
    if one.kept is None:
        return f"{which} is older than what is kept (RETENTION_RAW_DAYS)"
    return f"{which} contradicts {one.kept!r}, which was stored first"


def _topic(device: str, root: str) -> str:
    """The topic of a device's telemetry: in the cloud the first level of its name is the site."""
    if not root.startswith("+"):
        return f"{root}/{device}/telemetry"
    site, _, name = device.partition("/")
    return f"{site}{root[1:]}/{name}/telemetry"
