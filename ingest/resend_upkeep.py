"""Keeps the ranges of numbers that are asked for again as they are: what is missing, what came, what is gone.

Part of the keeper's upkeep, after the account is folded. What it decides stands in `ingest.resend_plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from db import account, resends
from db.engine import Connection, Engine, reading
from db.resends import Resend
from ingest.placement import OWN_BOOT
from ingest.resend_plan import ResendSettings, StartKey, StartNow, planned


class ResendUpkeep:
    """`transaction` begins one that only the keeper can commit."""

    def __init__(
        self, engine: Engine, transaction: Callable[[], AbstractContextManager[Connection]], settings: ResendSettings
    ) -> None:
        self._engine, self._transaction, self._settings = engine, transaction, settings

    def work(self, now: int) -> None:
        """Bring the ranges up to `now` (UTC ms). Raises DatabaseAway, and what `transaction` raises."""
        with reading(self._engine) as connection:
            before, gone = resends.every(connection), resends.gone(connection)
            starts = self._starts(connection, before, now)
        after = planned(before, starts, gone, now, self._settings)
        if not gone and set(after) == set(before):
            return
        with self._transaction() as connection:
            present = resends.every(connection, locked=True)
            if present != before:  # somebody was asked meanwhile
                after = planned(present, starts, gone, now, self._settings)
            resends.replace(connection, present, after, gone)

    def _starts(self, connection: Connection, rows: Iterable[Resend], now: int) -> dict[StartKey, StartNow]:
        """Starts of which something is missing, or was."""
        recent = account.recent_starts(connection, now - round(self._settings.give_up_s * 1000))
        wanted = {(one.device_id, one.boot) for one in recent if one.has_gap}
        wanted |= {(row.device_id, row.boot) for row in rows if row.outcome != "repaired"}
        # Of a start that has no name of its own the device knows nothing.
        wanted = {key for key in wanted if not key[1].startswith(OWN_BOOT)}
        there = resends.there(connection, (device_id for device_id, _ in wanted))
        wanted = {key for key in wanted if key[0] in there}
        known = account.intervals(connection, wanted)
        begun: dict[int, list[int]] = {}
        for one in recent:
            if one.begun_at is not None:
                begun.setdefault(one.device_id, []).append(one.begun_at)
        return {key: _start(known.get(key, []), begun.get(key[0], [])) for key in wanted}


def _start(intervals: list[account.Interval], begun: list[int]) -> StartNow:
    last_at = intervals[-1][3] if intervals else 0
    return StartNow(intervals, sum(at > last_at for at in begun))
