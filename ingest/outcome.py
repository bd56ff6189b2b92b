"""What became of a batch, for the account, the board and whoever waits for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from db.account import Tally
from db.devices import About, ActuatorState, Status
from ingest.placement import Placed, Verdict
from ingest.snapshot import AboutChange, Change, StateChange, StatusChange


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch, once it is committed; of each message, in order, where the writer was asked to tell."""

    tally: Tally = field(default_factory=Tally)
    changes: tuple[Change, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    #: Whether a device says something of itself in it.
    reports: bool = False

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.tally + other.tally,
            self.changes + other.changes,
            self.verdicts + other.verdicts,
            self.reports or other.reports,
        )


def outcome_of(placed: Placed) -> Outcome:
    """What a batch that was placed so comes to, once it is committed."""
    changes: list[Change] = []
    for decoded in placed.reports:
        at, old = decoded.message.received_at, decoded.message.retained
        match decoded.report:
            case Status(device, online):
                changes.append(StatusChange(device, online, at, old))
            case About(device, model, firmware, actuators, units):
                names = {a.name: a.unit for a in actuators}
                changes.append(AboutChange(device, model, firmware, units, names, at, old))
            case ActuatorState(device, actuator, state, _):
                changes.append(StateChange(device, actuator, state, at, old))
    return Outcome(placed.tally, (*changes, *placed.new), tuple(placed.verdicts), bool(changes))
