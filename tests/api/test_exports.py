"""Exports over HTTP: streamed while they are written, and ended when nobody may or wants to have them."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pandas as pd
import pytest
from starlette.testclient import TestClient

from api import exports, live
from db import export_job
from db import exports as rows
from db.engine import create
from db.exports import Block, Plan
from ingest.snapshot import ReadingChange
from tests.api.people import ROOT, People
from tests.api.server import Place, Served, fields

NOON = 1_764_072_000_000
QUERY = f"device=kitchen&metric=temperature&from={NOON}&to={NOON + 3_600_000}"


@pytest.fixture
def kitchen(anywhere: Place) -> Place:
    """An hour of readings each second."""
    anywhere.store("kitchen", "temperature", [(NOON + n * 1_000, n / 7) for n in range(3_600)], "°C")
    return anywhere


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """Every export gives its place back."""
    yield
    for _ in range(exports.AT_ONCE):
        assert exports._RUNNING.acquire(timeout=5), "an export still runs"
    for _ in range(exports.AT_ONCE):
        exports._RUNNING.release()


class Dammed:
    """An export's rows that come to a stop after the first block, until they are let go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.ended = threading.Event()
        self._blocks = rows.blocks
        monkeypatch.setattr(export_job, "blocks", self._dammed)

    def _dammed(self, connection: Any, plan: Plan) -> Iterator[Block]:
        try:
            for block in self._blocks(connection, plan):
                yield block
                while True:
                    self.go_on.wait(20)
                    yield block
        finally:
            self.ended.set()


@pytest.fixture
def dammed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dammed]:
    """Exports that come to no end by themselves."""
    dam = Dammed(monkeypatch)
    yield dam
    dam.go_on.set()


@pytest.mark.usefixtures("kitchen")
def test_a_file_of_each_kind(client: TestClient) -> None:
    text = client.get(f"/api/export.csv?{QUERY}&tz=Europe/Berlin")
    assert text.status_code == 200
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    assert text.headers["cache-control"] == "no-store"
    assert text.headers["content-disposition"].startswith(
        'attachment; filename="kitchen temperature 2025-11-25.csv"; filename*=UTF-8'
    )
    frame = pd.read_csv(io.BytesIO(text.content))
    assert frame["value"].tolist() == [n / 7 for n in range(3_600)]
    assert frame["time"][0] == "2025-11-25T13:00:00.000+01:00"
    columns = client.get(f"/api/export.parquet?{QUERY}")
    assert pd.read_parquet(io.BytesIO(columns.content))["value"].tolist() == frame["value"].tolist()
    sheet = client.get(f"/api/export.xlsx?{QUERY}")
    assert sheet.content.startswith(b"PK")
    assert sheet.headers["content-disposition"].startswith('attachment; filename="kitchen temperature 2025-11-25.xlsx"')


@pytest.mark.usefixtures("kitchen")
def test_what_is_ready_at_once_comes_with_its_length(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "_READY_S", 20)
    answer = client.get(f"/api/export.csv?{QUERY}")
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_resolutions_and_forms(kitchen: Place, client: TestClient) -> None:
    kitchen.store("cellar", "temperature", [(NOON, 5.0)])
    minutes = client.get(f"/api/export.csv?{QUERY}&resolution=minutes").text.splitlines()
    assert minutes[0] == "time,ts,device,metric,n,mean,min,max,unit"
    assert len(minutes) == 61
    wide = client.get(f"/api/export.csv?{QUERY}&device=cellar&form=wide").text.splitlines()
    assert wide[0] == "time,ts,kitchen temperature (°C),cellar temperature"
    assert len(wide) == 3_601


@pytest.mark.parametrize("path", ["export.csv", "export.parquet", "export.xlsx"])
@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("device=a&from=now&to=-1h", 400, "from"),
        ("device=a&from=soon", 400, "from"),
        ("device=a&tz=Mars", 400, "tz"),
        ("device=,", 400, "device"),
        ("", 422, "device"),
        ("device=a&resolution=auto", 422, "resolution"),
        ("device=a&form=tall", 422, "form"),
        ("device=z", 404, None),
        ("device=a&metric=z", 404, None),
    ],
)
def test_what_cannot_be_exported_is_named(
    here: Place, client: TestClient, path: str, query: str, status: int, field: str | None
) -> None:
    here.store("a", "x", [(NOON, 1.0)])
    answer = client.get(f"/api/{path}?{query}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if field is not None:
        assert fields(answer.json()) == {field}


def test_five_hundred_years(kitchen: Place, client: TestClient) -> None:  # noqa: ARG001
    for resolution in ("raw", "minutes", "hours", "days"):
        answer = client.get(f"/api/export.csv?device=kitchen&from=1700-01-01&to=2200-01-01&resolution={resolution}")
        assert len(answer.text.splitlines()) == {"raw": 3_601, "minutes": 61, "hours": 2, "days": 2}[resolution]


@pytest.mark.parametrize("metric", ['a"b', "../../x", "\U0001f600", "a/b\\c", "%2e", "ä; filename=evil.exe", "." * 10])
def test_a_file_name_holds_nothing_that_leads_elsewhere(here: Place, client: TestClient, metric: str) -> None:
    here.store("site1/kitchen", metric, [(NOON, 1.0)])
    answer = client.get("/api/export.csv", params={"device": "site1/kitchen", "metric": metric, "from": NOON})
    head, _, encoded = answer.headers["content-disposition"].partition("; filename*=UTF-8''")
    name = head.removeprefix('attachment; filename="').removesuffix('"')
    assert name.startswith("site1_kitchen ")
    assert name.endswith(".csv")
    assert not set(name + encoded) & set('"/\\;')
    assert name.isascii()


@pytest.fixture
def served_anywhere(kitchen: Place) -> Iterator[Served]:
    """The API over HTTP, on each kind of database."""
    server = Served()
    server.start()
    yield server
    kitchen.runtime.announce_stop()
    assert server.stop()


def test_it_comes_while_it_is_written(served_anywhere: Served, dammed: Dammed) -> None:
    with httpx.stream("GET", f"{served_anywhere.url}/api/export.csv?{QUERY}", timeout=5, trust_env=False) as answer:
        assert "content-length" not in answer.headers
        assert next(answer.iter_bytes()).startswith(b"time,ts,device")
        assert not dammed.ended.is_set()
    dammed.go_on.set()
    assert dammed.ended.wait(5), "the client has left, and the query goes on"


def test_it_is_as_of_its_start(kitchen: Place, served_anywhere: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()
    original = rows.blocks

    def later(connection: Any, plan: Plan) -> Iterator[Block]:
        found = list(original(connection, plan))[:1]
        began.set()
        assert go_on.wait(20)
        yield from found
        yield from original(connection, plan)

    monkeypatch.setattr(export_job, "blocks", later)
    with httpx.stream("GET", f"{served_anywhere.url}/api/export.csv?{QUERY}", timeout=20, trust_env=False) as answer:
        assert began.wait(5)
        kitchen.store("kitchen", "temperature", [(NOON + 1, 99.0)])
        go_on.set()
        lines = answer.read().decode().splitlines()
    assert len(lines) == 1 + 2 * 3_600
    assert str(NOON + 1) not in [line.split(",")[1] for line in lines]


def test_it_breaks_off_with_its_login(
    here: Place, people: People, served: Served, dammed: Dammed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHECK_S", 0.05)
    here.store("kitchen", "temperature", [(NOON, 1.0)])
    here.close_reading()
    headers = people.headers("session viewer")
    url = f"{served.url}/api/export.csv?{QUERY}"
    with httpx.stream("GET", url, headers=headers, timeout=5, trust_env=False) as answer:
        assert answer.status_code == 200
        parts = answer.iter_bytes()
        assert next(parts)
        [session] = people.doors.sessions(people.actor("viewer"))
        people.doors.end_session(session.id, ROOT)
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)
    dammed.go_on.set()
    assert dammed.ended.wait(5)


def test_what_it_knows_of_its_login_is_as_fresh_as_a_live_stream_has_it() -> None:
    assert exports.CHECK_S <= live.LOGIN_CHECK_S


def test_it_breaks_off_when_the_server_stops(here: Place, served: Served, dammed: Dammed) -> None:
    here.store("kitchen", "temperature", [(NOON, 1.0)])
    with httpx.stream("GET", f"{served.url}/api/export.csv?{QUERY}", timeout=5, trust_env=False) as answer:
        parts = answer.iter_bytes()
        assert next(parts)
        here.runtime.announce_stop()
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)
    dammed.go_on.set()


def test_a_client_that_does_not_read_holds_nothing_up(
    here: Place, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The query ends although nobody reads, and with it the transaction."""
    here.store("kitchen", "temperature", [(NOON + n, n / 7) for n in range(3_000)])
    original = rows.blocks
    done = threading.Event()

    def many(connection: Any, plan: Plan) -> Iterator[Block]:
        [block] = original(connection, plan)
        for _ in range(60):
            yield block
        done.set()

    monkeypatch.setattr(export_job, "blocks", many)
    with httpx.stream("GET", f"{served.url}/api/export.csv?{QUERY}", timeout=5, trust_env=False) as answer:
        assert answer.status_code == 200
        assert done.wait(10)


def test_so_many_at_once_and_no_more(here: Place, client: TestClient) -> None:
    here.store("kitchen", "temperature", [(NOON, 1.0)])
    for _ in range(exports.AT_ONCE):
        assert exports._RUNNING.acquire(blocking=False)
    answer = client.get(f"/api/export.csv?{QUERY}")
    for _ in range(exports.AT_ONCE):
        exports._RUNNING.release()
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert client.get(f"/api/export.csv?{QUERY}").status_code == 200


def test_too_little_room_on_the_disk_is_said_before_it_begins(
    here: Place, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.store("kitchen", "temperature", [(NOON + n, 1.0) for n in range(1_000)])
    monkeypatch.setattr(export_job, "_SHARE", 10**12)
    for form in ("csv", "parquet", "xlsx"):
        answer = client.get(f"/api/export.{form}?{QUERY}")
        assert answer.status_code == 503
        assert "shorter range" in answer.json()["detail"]


def test_a_disk_that_fills_up_breaks_it_off(
    here: Place, served: Served, dammed: Dammed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here.store("kitchen", "temperature", [(NOON, 1.0)])
    with httpx.stream("GET", f"{served.url}/api/export.csv?{QUERY}", timeout=5, trust_env=False) as answer:
        parts = answer.iter_bytes()
        assert next(parts)

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.write", full)
        dammed.go_on.set()
        with caplog.at_level(logging.WARNING), pytest.raises(httpx.RemoteProtocolError):
            list(parts)
        monkeypatch.undo()
    assert "can't be written" in caplog.text


def test_a_database_that_is_away_is_503(here: Place, client: TestClient) -> None:
    here.change(ReadingChange("kitchen", "temperature", NOON, 1.0, NOON))
    here.runtime.engine = create("sqlite:////proc/nowhere.db")
    for form in ("csv", "parquet", "xlsx"):
        assert client.get(f"/api/export.{form}?{QUERY}").status_code == 503


def test_no_file_is_left_behind(kitchen: Place, client: TestClient, tmp_path: Path) -> None:
    del kitchen
    before = set(tmp_path.iterdir())
    for form in ("csv", "parquet", "xlsx"):
        assert client.get(f"/api/export.{form}?{QUERY}").status_code == 200
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"monitor.db-wal", "monitor.db-shm"}
