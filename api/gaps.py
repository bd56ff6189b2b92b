"""Where a series fell silent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

#: A distance this many times the usual one is a gap.
GAP_INTERVALS: Final = 3


def gaps(times: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches without a reading that are longer than three usual distances (their median).

    Args:
        times: UTC ms of the readings, rising.

    Returns:
        (time of the reading before, time of the reading after) of each; none below three readings, because then
        nothing is usual.
    """
    distances = [after - before for before, after in pairwise(times)]
    if len(distances) < 2:
        return []
    longest = GAP_INTERVALS * median(distances)
    return [(before, after) for before, after in pairwise(times) if after - before > longest]
