"""How what is stored gets to the board: at once, or together with what follows it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ingest.outcome import Outcome
from ingest.showing import Showing
from ingest.snapshot import Board, ReadingsChange, Snapshot, StatusChange

T = 1_700_000_000_000


@dataclass(slots=True)
class _Place:
    """A board whose readings are shown twice a second at most, by a clock that the test moves."""

    now: float = 100.0
    told: int = 0
    board: Board = field(default_factory=lambda: Board(Snapshot(T, 0, {})))

    def showing(self) -> Showing:
        return Showing(self.board, 0.5, self.tell, lambda: self.now)

    def tell(self) -> None:
        self.told += 1

    def shown(self, device: str = "a") -> float | None:
        known = self.board.current.devices.get(device)
        return None if known is None else known.metrics["x"].value


@pytest.fixture
def place() -> _Place:
    return _Place()


def _reading(number: int, *devices: str) -> Outcome:
    measured = [(T + number, (("x", float(number)),), T + number)]
    return Outcome(changes=tuple([ReadingsChange(device, measured) for device in devices or "a"]))


#: A fleet so large that its batches are shown together.
_FLEET = [f"device-{number}" for number in range(1_000)]


def test_what_is_stored_first_is_due_at_once(place: _Place) -> None:
    showing = place.showing()
    showing.take(_reading(1, *_FLEET))
    assert (showing.waits, place.shown(_FLEET[0])) == (True, None)
    showing.show_if_due()
    assert (showing.waits, place.shown(_FLEET[0])) == (False, 1.0)


def test_batches_of_a_large_fleet_are_shown_together(place: _Place) -> None:
    showing = place.showing()
    showing.take(_reading(1, *_FLEET))
    showing.show()
    version = place.board.current.version
    for number in range(2, 6):
        showing.take(_reading(number, *_FLEET))
        showing.show_if_due()
    assert (place.board.current.version, place.shown(_FLEET[0])) == (version, 1.0)
    place.now += 0.5
    showing.show_if_due()
    assert (place.board.current.version, place.shown(_FLEET[0]), place.shown(_FLEET[-1])) == (version + 1, 5.0, 5.0)
    series = place.board.current.devices[_FLEET[0]].metrics["x"]
    assert series.interval_ms == 1, "of each of them, not of the last alone"


def test_batches_of_few_devices_are_shown_one_by_one(place: _Place) -> None:
    showing = place.showing()
    for number in range(1, 4):
        showing.take(_reading(number))
        showing.show_if_due()
        assert place.shown() == number


def test_what_must_be_shown_is_not_waited_for(place: _Place) -> None:
    showing = place.showing()
    showing.take(_reading(1))
    showing.show()
    showing.take(_reading(2))
    showing.show()
    assert (showing.waits, place.shown()) == (False, 2.0)


def test_a_report_is_shown_at_once_with_what_was_stored_before_it(place: _Place) -> None:
    showing = place.showing()
    showing.take(_reading(1))
    showing.show()
    showing.take(_reading(2))
    assert place.told == 0
    showing.take(Outcome(changes=(StatusChange("b", True, T + 3),), reports=True))
    assert (showing.waits, place.shown(), place.told) == (False, 2.0, 1)
    assert place.board.current.devices["b"].online is True


def test_nothing_to_show_changes_nothing(place: _Place) -> None:
    showing = place.showing()
    before = place.board.current
    showing.take(Outcome())
    showing.show()
    showing.show_if_due()
    assert place.board.current is before
