"""Waiting for what another process or thread does, and that sends no event to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = 20.0, *, what: str = "") -> T:
    """Ask `condition` until its answer is true; that answer.

    What works comes within five seconds; the bound is for a machine so busy that it takes longer.

    Raises AssertionError with the last answer, and `what` was waited for, once the seconds have passed.
    """
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what or 'what was waited for'} did not come within {seconds:g} s, last: {answer!r}")
        time.sleep(0.02)
    return answer
