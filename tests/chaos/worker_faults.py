"""The worker killed at each of its steps, and its clock wrong."""

from __future__ import annotations

import random
from typing import Final

from tests.chaos.stage import STAGED, Fault, Stage
from tests.parts.eventually import eventually

_HOUR_MS: Final = 3_600_000


def _killed(step: str) -> Fault:
    def act(stage: Stage) -> None:
        """Killed and started again `repeats` times, each start at another time of the step."""
        worker, dice = stage.process, random.Random(step)  # noqa: S311 - dice, and no secret
        worker.pull(die=[step, 1])
        for number in range(stage.scale.repeats, 0, -1):
            eventually(lambda: not worker.running, stage.scale.patience_s, what=f"the end {step}")
            worker.pull(die=[step, dice.randint(1, 10)] if number > 1 else ["", 0])
            worker.start()

    return Fault(f"worker killed {step}", act, program=STAGED)


def _clock(stage: Stage) -> None:
    """Messages at each time, all stored before the clock steps again."""
    for shift_ms in (-_HOUR_MS, 24 * _HOUR_MS, 0):
        stage.process.pull(clock_ms=shift_ms)
        stage.flow.end()
        stage.fleet.publish(stage.scale.messages // 16)
        eventually(stage.all_stored, stage.scale.patience_s)


WORKER_FAULTS: Final = (
    _killed("before commit"),
    _killed("after commit"),
    _killed("between acknowledgements"),
    Fault("clock back an hour, forward a day", _clock, program=STAGED),
)
