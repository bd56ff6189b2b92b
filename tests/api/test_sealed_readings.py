"""What is sealed, is being sealed, or was damaged, as the API answers with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from db import export_job, exports, sealing
from db.engine import writing
from db.exports import Block, Plan
from db.sealing import Sealer
from tests.api.server import Place, Served

MIDNIGHT = 20_000 * 86_400_000
QUERY = f"device=kitchen&metric=temperature&from={MIDNIGHT}&to={MIDNIGHT + 2 * 86_400_000}"
ROWS = [(MIDNIGHT + n * 20_000, float(n % 50)) for n in range(2 * 4_320)]


def seal(place: Place) -> None:
    sealer = Sealer("w-upkeep", "iot")
    engine = place.runtime.engine
    assert list(sealing.steps(engine, partial(writing, engine), sealer, MIDNIGHT + 2 * 86_400_000))


@pytest.fixture
def kitchen(anywhere: Place) -> Place:
    """Two days of readings."""
    anywhere.store("kitchen", "temperature", ROWS)
    return anywhere


def test_files_and_answers_are_the_same_after_sealing(kitchen: Place, client: TestClient) -> None:
    paths = [f"/api/readings/?{QUERY}&points={points}" for points in (2, 100, 1_000, 10_000)]
    paths += [f"/api/export.csv?{QUERY}&resolution={name}" for name in ("raw", "minutes", "hours", "days")]
    before = [client.get(path).content for path in paths]
    seal(kitchen)
    assert [client.get(path).content for path in paths] == before


def test_an_export_that_has_begun_sees_nothing_of_sealing(kitchen: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on = threading.Event(), threading.Event()
    original = exports.blocks

    def later(connection: Any, plan: Plan) -> Iterator[Block]:
        found = original(connection, plan)
        yield next(found)
        began.set()
        assert go_on.wait(20)
        yield from original(connection, plan)

    monkeypatch.setattr(export_job, "blocks", later)
    server = Served()
    server.start()
    with httpx.stream("GET", f"{server.url}/api/export.csv?{QUERY}", timeout=20, trust_env=False) as answer:
        assert began.wait(10)
        seal(kitchen)
        go_on.set()
        lines = answer.read().decode().splitlines()[1:]
    assert server.stop()
    assert [line.split(",")[1] for line in lines] == [str(ts) for ts, _ in ROWS] * 2


def test_a_damaged_chunk_is_named_and_the_rest_can_be_read(kitchen: Place, client: TestClient) -> None:
    seal(kitchen)
    with writing(kitchen.runtime.engine) as connection:
        connection.exec_driver_sql(f"UPDATE chunks SET raw = X'78' WHERE start = {MIDNIGHT}")
    answer = client.get(f"/api/readings/?{QUERY}&resolution=raw")
    assert answer.status_code == 500
    assert "verify" in answer.json()["detail"]
    second = f"device=kitchen&from={MIDNIGHT + 86_400_000}&to={MIDNIGHT + 2 * 86_400_000}"
    assert len(client.get(f"/api/readings/?{second}&resolution=raw").json()[0]["points"]) == 4_320
