"""How many readings a device sends in a minute: a number a window, so that a batch costs an addition. Pure.

A window ends with the first batch that comes a minute or more after its begin. So the rate of a device that sends every
five minutes is right as well: its windows are that long.
"""

from __future__ import annotations

from typing import Final

import msgspec

WINDOW_MS: Final = 60_000
#: Of a device whose rate is not known yet: an early guess is better than an empty place.
FIRST_WINDOW_MS: Final = 15_000
#: After a longer silence the mean would say nothing; who sends more rarely has no rate.
LONGEST_WINDOW_MS: Final = 900_000


class Rate(msgspec.Struct, frozen=True, gc=False):
    """Readings a minute, over the last window that ended; None if not known. `since`, `until`: the open one, UTC ms.

    `until` is 0 before the first batch.
    """

    per_minute: float | None = None
    since: int = 0
    until: int = 0


def ended(rate: Rate, readings: int, at: int) -> Rate:
    """The rate when a window ends: so many readings in it, the last of them received `at` (UTC ms), out of it."""
    elapsed = at - rate.since
    if rate.until == 0 or not 0 < elapsed <= LONGEST_WINDOW_MS:  # the first batch, a long silence, our clock set back
        return Rate(None, at, at + FIRST_WINDOW_MS)
    return Rate(_rounded(readings * 60_000 / elapsed), at, at + WINDOW_MS)


def _rounded(per_minute: float) -> float:
    """As many digits as steady devices keep: what only trembles is no news."""
    if per_minute < 10:
        return round(per_minute, 1)
    return float(f"{per_minute:.3g}" if per_minute >= 100 else f"{per_minute:.2g}")
