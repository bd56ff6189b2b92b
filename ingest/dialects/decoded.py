"""What a dialect makes of a message."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from db.bridges import BridgeReport
from db.devices import About, ActuatorState, Status
from db.readings import Sample
from db.resends import Gone
from ingest.message import Message

Report = Status | About | ActuatorState | BridgeReport | Gone


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A message understood, in whole or in part.

    `problems` are sentences that name the field they are about; a message with any goes to the dead letters with them.
    `rejected` counts readings in it that could not be understood.
    """

    message: Message
    samples: tuple[Sample, ...] = ()
    report: Report | None = None
    rejected: int = 0
    problems: tuple[str, ...] = ()

    @property
    def reported_by(self) -> str | None:
        """The device that a report is of; None where there is none, or it is a bridge's."""
        return None if self.report is None or isinstance(self.report, BridgeReport) else self.report.device

    @property
    def readings(self) -> int:
        """Readings in the message, understood or not."""
        if len(self.samples) == 1:  # as nearly always
            return self.rejected + len(self.samples[0].values)
        count = self.rejected
        for sample in self.samples:
            count += len(sample.values)
        return count


def count_readings(batch: Sequence[Decoded]) -> int:
    """Readings in all of these messages, understood or not. Those of one sample cost no call each."""
    return sum(
        [
            len(decoded.samples[0].values) if len(decoded.samples) == 1 and not decoded.rejected else decoded.readings
            for decoded in batch
        ]
    )
