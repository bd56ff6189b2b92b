"""Both boards for a while, with outages of everything around them, and what the boards and the server say of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text

from db import engine
from tests.e2e.test_control_api import House
from tests.parts.boards import DEVICE, Boards
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

_FIGURES_LOOKED_AT: Final = 5


@dataclass(frozen=True, slots=True)
class Account:
    """Readings the ESP8266 heard, those that are rows, and those it says it lost; its free heap in bytes of this PC.

    `longest_gap_ms` is for how long its loop was held up at most.
    """

    heard: int
    rows: int
    lost: int
    heap_before: int
    heap_after: int
    longest_gap_ms: int


def latest(place: House) -> dict[str, Any]:
    """The latest reading by the API."""
    found: dict[str, Any] = place.server.get("/api/dht22_db/", device=DEVICE).json()
    return found


def figure(place: House, name: str) -> int:
    """A figure of the board itself as the server last heard it, 0 before that."""
    metrics = place.server.get(f"/api/devices/{DEVICE}/").json().get("metrics", [])
    return int(next((one["value"] for one in metrics if one["metric"] == f"vitals.{name}"), 0))


def stored(database_url: str, metric: str = "temperature") -> list[float]:
    """Every reading of the device's metric, by time."""
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        rows = connection.execute(
            text(
                "SELECT r.value FROM readings r JOIN series s ON s.id = r.series_id "
                "JOIN devices d ON d.id = s.device_id WHERE d.name = :device AND s.metric = :metric ORDER BY r.ts"
            ),
            {"device": DEVICE, "metric": metric},
        )
        found = [row[0] for row in rows]
    database.dispose()
    return found


def settle(place: House, boards: Boards, database_url: str) -> Account:
    """Pull the wire, so that nothing new comes, and wait until what the board heard is stored or counted as lost.

    What was under way when its connection broke, and left the ring before the next one, may be both: it can't know.
    """
    boards.pull_plug()

    def account() -> Account | None:
        rows = len(stored(database_url))
        heard, lost = figure(place, "frames") - figure(place, "sensor_faults"), figure(place, "lost")
        whole = figure(place, "waiting") == 0 and rows <= heard <= rows + lost
        return Account(heard, rows, lost, 0, 0, 0) if whole else None

    found = eventually(account, what="an account that adds up")
    assert found is not None
    return found


def wire_out_and_broker_away(
    place: House, boards: Boards, broker: Mosquitto, database_url: str, *, wire_s: float, broker_s: float
) -> Account:
    """Pull the wire for so long, then stop the broker. The ring has to hold what comes meanwhile."""
    eventually(lambda: figure(place, "frames") > 1, what="first frames, after which others can be missed")
    missed = figure(place, "missed_frames")
    boards.pull_plug()
    time.sleep(wire_s)  # frames that nobody hears
    boards.plug_in()
    eventually(lambda: figure(place, "missed_frames") > missed + 2, what="the count of what was not heard")
    connected = boards.connections()
    broker.stop()
    time.sleep(broker_s)  # readings that have to wait
    broker.start()
    eventually(lambda: boards.connections() > connected, 60, what="the broker again")
    return settle(place, boards, database_url)


def soak(
    place: House, boards: Boards, broker: Mosquitto, database_url: str, *, seconds: float, outage_s: float
) -> Account:
    """Let them run, and take away in turn the broker, the wire, the WiFi and the broker's breath."""
    eventually(lambda: figure(place, "frames") > 50, what="that it is under way")
    heap_before, gap, turn = _free_heap(place), 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(outage_s)
        gap = max(gap, figure(place, "longest_gap"))
        _OUTAGES[turn % len(_OUTAGES)](boards, broker, outage_s)
        turn += 1
    heard = figure(place, "frames")
    eventually(lambda: figure(place, "frames") > heard, what="that it is there again")
    heap_after = _free_heap(place)
    gap = max(gap, figure(place, "longest_gap"))
    found = settle(place, boards, database_url)
    return Account(found.heard, found.rows, found.lost, heap_before, heap_after, gap)


def _broker_away(_boards: Boards, broker: Mosquitto, seconds: float) -> None:
    broker.stop()
    time.sleep(seconds)
    broker.start()


def _wire_out(boards: Boards, _broker: Mosquitto, seconds: float) -> None:
    boards.pull_plug()
    time.sleep(seconds)
    boards.plug_in()


def _wifi_off(boards: Boards, _broker: Mosquitto, seconds: float) -> None:
    boards.wifi(on=False)
    time.sleep(seconds)
    boards.wifi(on=True)


def _broker_frozen(_boards: Boards, broker: Mosquitto, seconds: float) -> None:
    broker.process.freeze()
    time.sleep(seconds)
    broker.process.thaw()


_OUTAGES: Final[tuple[Callable[[Boards, Mosquitto, float], None], ...]] = (
    _broker_away,
    _wire_out,
    _wifi_off,
    _broker_frozen,
)


def _free_heap(place: House) -> int:
    """The most that was free in some figures: what is alive at the moment of one comes and goes."""
    found: list[int] = []
    last = -1
    while len(found) < _FIGURES_LOOKED_AT:
        eventually(lambda last=last: figure(place, "frames") != last, what="new figures")  # type: ignore[misc]
        last = figure(place, "frames")
        found.append(figure(place, "free_heap"))
    return max(found)
