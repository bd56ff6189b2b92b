"""How far behind the queue is, from the times that readings carry. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ingest.dialects.decoded import Decoded

#: The newest messages of a batch are enough: what came before them is older.
_LOOKED_AT: Final = 50


def lag_ms(batch: Sequence[Decoded]) -> int | None:
    """How old the freshest reading was when it was received, in ms; None if none carries a time of its own.

    Devices' clocks are off by some, so it is as right as the best of them, and never negative. What a broker retained
    is old by its nature and does not count.
    """
    ages = [
        decoded.message.received_at - sample.ts
        for decoded in batch[-_LOOKED_AT:]
        if not decoded.message.retained
        for sample in decoded.samples
        if sample.ts is not None
    ]
    return max(0, min(ages)) if ages else None
