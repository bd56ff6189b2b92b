"""The count of the fault tests itself: it sees what is lost, by whom, and what is doubled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db import devices, engine, migrations, readings
from tests.chaos.verdict import judge
from tests.parts.fleet import Fleet, Sent


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database in which number 0 of `plain1` is stored, number 1 half, number 2 twice, and number 3 not at all."""
    url = f"sqlite:///{tmp_path}/monitor.db"
    database = engine.create(url)
    migrations.apply(database)
    with engine.writing(database) as connection:
        device = devices.ensure(connection, ["plain1"], 0)["plain1"]
        series = devices.ensure_series(connection, [(device, "v"), (device, "w")], 0)
        v, w = series[device, "v"], series[device, "w"]
        rows = [(v, 10, 0.0), (w, 10, 0.5), (v, 11, 1.0), (v, 12, 2.0), (w, 12, 2.5), (v, 13, 2.0), (w, 13, 2.5)]
        assert readings.insert_new(connection, rows) == 7
    database.dispose()
    return url


def fleet(acknowledged: set[int]) -> Fleet:
    sent = Fleet(1, "iot", devices=2)
    sent.sent = [Sent("plain1", range(1)), Sent("plain1", range(1, 3)), Sent("plain1", range(3, 4))]
    sent.acknowledged = acknowledged
    return sent


def test_what_is_missing_while_the_broker_lives_was_lost_by_us(url: str) -> None:
    verdict = judge(url, fleet({0, 1, 2}), None)
    assert (verdict.sent, verdict.acknowledged, verdict.stored) == (3, 3, 1)
    assert (verdict.lost, verdict.undelivered, verdict.doubled) == (2, 0, 2)
    assert verdict.missing == {("plain1", 1), ("plain1", 2), ("plain1", 3)}


def test_what_we_acknowledged_was_lost_by_us_and_the_rest_by_the_broker(url: str) -> None:
    ours = [("iot/plain1/telemetry", json.dumps([{"seq": 1}, {"seq": 2}]).encode())]
    verdict = judge(url, fleet({0, 1, 2}), ours)
    assert (verdict.lost, verdict.undelivered) == (1, 1)


def test_what_the_broker_never_acknowledged_may_be_missing(url: str) -> None:
    verdict = judge(url, fleet({0}), None)
    assert (verdict.sent, verdict.acknowledged, verdict.stored, verdict.lost) == (3, 1, 1, 0)
