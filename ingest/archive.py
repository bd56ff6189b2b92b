"""Folds hours that are over, seals days that are, merges what comes late, and removes what is past its time. The keeper
does it, for all.

One stretch of a series at a time, with rests between: storing what arrives comes first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from db import folding, retention, sealing
from db.engine import Engine
from db.folding import Folded
from db.sealing import Sealer, Step, Transaction
from ingest.vitals import now_ms

log = logging.getLogger(__name__)

#: A rest is so many times as long as what it follows: this thread and the one that stores share an interpreter.
_REST: Final = 2.0
_LONGEST_REST_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """SEAL_AFTER_DAYS (0: nothing is sealed), RETENTION_RAW_DAYS, RETENTION_HOUR_DAYS (None: kept), TOPIC_ROOT."""

    seal_after_days: int = 0
    raw_days: int | None = None
    hour_days: int | None = None
    topic_root: str = "iot"


class Archive:
    """One thread uses it. `transaction` begins one to write in, in which only the keeper can commit."""

    def __init__(self, engine: Engine, transaction: Transaction, settings: HistorySettings, worker: str) -> None:
        self._engine, self._transaction, self._settings = engine, transaction, settings
        self._sealer = Sealer(f"{worker}{sealing.MOVES}", settings.topic_root)
        self._steps: Iterator[Step | Folded] | None = None
        #: What was said of a stretch, so that it is said once.
        self._said: set[str] = set()

    def work(self, until: float, stop: threading.Event) -> bool:
        """Go on until all is done, `until` (monotonic seconds) or `stop`; whether all is done.

        Raises:
            DatabaseAway: If the database can't work now. What was not done is so at the next pass.
            LeaseLost: If another worker became the keeper.
        """
        steps = self._steps or self._pass()
        self._steps = None  # where one raises, the next pass begins anew
        while not stop.is_set() and time.monotonic() < until:
            began = time.monotonic()
            step = next(steps, None)
            if step is None:
                return True
            if isinstance(step, Step):
                self._say(step)
            busy_s = max(step.held_s, _REST * (time.monotonic() - began))
            stop.wait(min(busy_s, max(step.held_s, _LONGEST_REST_S)))
        self._steps = steps
        return False

    def _pass(self) -> Iterator[Step | Folded]:
        now, settings = now_ms(), self._settings
        yield from folding.steps(self._engine, self._transaction, now)
        if settings.seal_after_days:
            cutoff = sealing.sealed_before(now, settings.seal_after_days)
            yield from sealing.steps(self._engine, self._transaction, self._sealer, cutoff)
        limits = retention.kept(now, settings.raw_days, settings.hour_days)
        yield from retention.removals(self._engine, self._transaction, self._sealer, limits)

    def _say(self, step: Step) -> None:
        if step.problem is not None and step.problem not in self._said:
            self._said.add(step.problem)
            log.warning("Not sealed: %s. Its readings are shown all the same, nothing is lost.", step.problem)
        if step.rejected:
            log.warning(
                "%d late readings of series %d contradict what was sealed, or are older than what is kept. They are "
                "among the dead letters: python -m ingest replay --list",
                step.rejected,
                step.series_id,
            )
