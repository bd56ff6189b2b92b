"""What a broker gave at once, understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.dialects.decoded import Decoded
from ingest.message import Message


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the broker gave at once, what it says and how many readings; or why nothing could be received."""

    messages: Sequence[Message] = ()
    batch: Sequence[Decoded] = ()
    readings: int = 0
    error: Exception | None = None

    def __add__(self, other: Arrived) -> Arrived:
        return Arrived([*self.messages, *other.messages], [*self.batch, *other.batch], self.readings + other.readings)
