from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest

from api import feed, live
from api.live import Bell
from db.commands import Command, Step
from ingest.snapshot import ReadingChange, StateChange, StatusChange
from ingest.standing import with_commands
from tests.api.server import Place, Served


@dataclass(frozen=True, slots=True)
class Heard:
    """A block of lines, as a client takes them."""

    name: str | None
    data: dict[str, Any] | None
    id: str | None


def temperature(device: str, value: float, ts: int = 1_000) -> ReadingChange:
    return ReadingChange(device, "temperature", ts, value, ts)


@contextmanager
def listening(served: Served, last_event_id: str | None = None, query: str = "") -> Iterator[Iterator[Heard]]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    address = f"{served.url}/api/live/{query}"
    with httpx.stream("GET", address, headers=headers, timeout=5, trust_env=False) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        lines = response.iter_lines()
        assert next(lines) == "retry: 2000"
        assert next(lines) == ""
        yield blocks(lines)


def blocks(lines: Iterator[str]) -> Iterator[Heard]:
    block: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            block[name] = value
        elif block:
            data = json.loads(block["data"]) if "data" in block else None
            yield Heard(block.get("event"), data, block.get("id"))
            block = {}


def id_of(here: Place, version: int) -> str:
    return f"{here.board.current.started_at}-{version}"


def test_a_stream_begins_with_the_whole_state_and_goes_on_with_changes(here: Place, served: Served) -> None:
    here.change(StatusChange("kitchen", True, 1_000), temperature("kitchen", 21.5))
    with listening(served) as heard:
        presence, reading = next(heard), next(heard)
        assert (presence.name, presence.id) == ("presence", id_of(here, 0))
        assert presence.data == {
            "device": "kitchen",
            "presence": "online",
            "online": True,
            "last_seen": 1_000,
            "model": None,
            "firmware": None,
            "readings_per_minute": None,
        }
        assert (reading.name, reading.id) == ("reading", id_of(here, 1))
        here.change(temperature("kitchen", 22.5, 3_000))
        changed = next(heard)
        assert (changed.name, changed.id) == ("reading", id_of(here, 2))
        assert changed.data == {
            "device": "kitchen",
            "metric": "temperature",
            "unit": None,
            "ts": 3_000,
            "value": 22.5,
            "received_at": 3_000,
            "interval_ms": 2_000,
        }


def test_without_devices_an_id_arrives_at_once_and_the_first_device_after_it(here: Place, served: Served) -> None:
    with listening(served) as heard:
        assert next(heard) == Heard(None, None, id_of(here, 0))
        here.change(StatusChange("kitchen", True, 1_000))
        assert next(heard).id == id_of(here, 1)


def test_a_client_that_comes_back_hears_what_it_missed_and_no_more(here: Place, served: Served) -> None:
    here.change(temperature("a", 1.0), temperature("b", 2.0))
    here.change(temperature("b", 3.0, 2_000))
    for headers, query in ((id_of(here, 1), ""), (None, f"?last_event_id={id_of(here, 1)}")):
        with listening(served, headers, query) as heard:
            missed = next(heard)
            assert missed.id == id_of(here, 2)
            assert missed.data is not None
            assert (missed.data["device"], missed.data["value"]) == ("b", 3.0)


def test_a_client_of_another_process_gets_the_whole_state(here: Place, served: Served) -> None:
    here.change(temperature("a", 1.0))
    with listening(served, "12345-1") as heard:
        assert next(heard).id == id_of(here, 0)


def test_a_client_is_told_of_everything_when_the_worker_reads_the_database_anew(here: Place, served: Served) -> None:
    here.store("stored_elsewhere", "temperature", [(1_000, 1.0)])
    here.change(temperature("a", 1.0))
    with listening(served) as heard:
        while next(heard).id != id_of(here, 1):
            pass
        here.restore()
        presence, reading = next(heard), next(heard)
        assert presence.data is not None
        assert presence.data["device"] == "stored_elsewhere"
        assert reading.id == id_of(here, 2)


def test_what_changes_fast_goes_out_together(here: Place, served: Served) -> None:
    with listening(served) as heard, httpx.Client(base_url=served.url, timeout=5, trust_env=False) as client:
        next(heard)
        for value in range(1, 51):
            here.change(temperature("a", float(value), 1_000 + value))
            client.get("/api/docs")  # the server has had its turn: without a pace it would have sent this one
        values: list[float] = []
        while 50.0 not in values:
            event = next(heard)
            if event.name == "reading" and event.data is not None:
                values.append(event.data["value"])
        assert len(values) < 25


def test_a_command_does_not_wait_for_the_pace_of_readings(
    here: Place, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FLUSH_S", 60.0)
    command = Command("5b0e", "a", "led", "ON", "queued", "anna", "", 5, 6, (Step("queued", 5, ""),))
    with listening(served) as heard:
        here.change(temperature("a", 1.0))  # the next one would go out a minute later
        while next(heard).name != "reading":
            pass
        here.change(temperature("a", 2.0, 2_000))
        here.board.update(lambda current: with_commands(current, [command], 0))
        assert [next(heard).name for _ in range(2)] == ["reading", "command"]
        here.change(StateChange("a", "led", "ON", 3_000))
        assert next(heard).name == "state"


def test_a_quiet_stream_says_that_it_is_still_here(
    here: Place, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STILL_HERE_S", 0.05)
    here.change(temperature("a", 1.0))
    with httpx.stream("GET", f"{served.url}/api/live/", timeout=5, trust_env=False) as response:
        lines = [line for line, _ in zip(response.iter_lines(), range(16), strict=False)]
    assert lines.count(": still here") >= 2
    assert sum(line.startswith("event:") for line in lines) == 2


def test_stopping_ends_open_streams_and_lets_the_server_go(here: Place, served: Served) -> None:
    with listening(served) as heard, listening(served) as other:
        next(heard)
        next(other)
        here.runtime.announce_stop()
        assert [event.name for event in heard] == ["end"]
        assert [event.name for event in other] == ["end"]
        assert served.stop()


def test_a_stream_that_begins_while_the_server_stops_ends_at_once(here: Place, served: Served) -> None:
    here.runtime.announce_stop()
    with listening(served) as heard:
        assert [event.name for event in heard] == ["end"]


def test_a_client_that_leaves_takes_its_listener_along(here: Place, served: Served) -> None:
    with listening(served) as heard:
        next(heard)
        assert not here.board.left.is_set()
    assert here.board.left.wait(5)


def test_a_bell_rung_before_anyone_listens_is_heard() -> None:
    async def hear() -> None:
        bell = Bell()
        ringing = [threading.Thread(target=bell.ring, name=f"ringer-{number}") for number in range(3)]
        for thread in ringing:
            thread.start()
        for thread in ringing:
            thread.join()
        await asyncio.wait_for(bell.heard(60), 5)
        bell.ring()
        await asyncio.wait_for(bell.heard(60), 5)

    asyncio.run(hear())


def test_a_bell_nobody_rings_falls_silent_by_itself() -> None:
    async def wait() -> None:
        await asyncio.wait_for(Bell().heard(0.01), 5)

    asyncio.run(wait())


def test_a_bell_outlives_its_loop_without_an_error() -> None:
    async def make() -> Bell:
        return Bell()

    asyncio.run(make()).ring()
