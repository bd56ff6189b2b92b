from __future__ import annotations

from functools import partial

import pytest

from db import (
    account,
    audit,
    balance,
    device_tokens,
    devices,
    places,
    polls,
    readings,
    receipts,
    removal,
    sealing,
    states,
)
from db.device_tokens import DeviceToken
from db.engine import Engine, reading, snapshot, writing
from db.history import DAY_MS
from db.places import PlaceChange
from db.targets import UnknownTarget
from tests.db.conftest import NOW
from tests.db.orders import ANNA, KEY, make_actuators
from tests.db.sealed import DAY, Series, every

LATER = NOW + 5 * DAY_MS


@pytest.fixture
def series(engine: Engine, kitchen: int, temperature: int, monkeypatch: pytest.MonkeyPatch) -> Series:
    """Three days of readings, two of them sealed, of a device that has all that a device can have."""
    monkeypatch.setattr(sealing, "SLOW", 10)
    monkeypatch.setattr(removal, "_ROWS_AT_ONCE", 50)
    monkeypatch.setattr(removal, "_CHUNKS_AT_ONCE", 1)
    found = Series(engine, temperature)
    found.receive(every(900_000, 3 * 96))
    found.seal(DAY + 2 * DAY_MS)
    make_actuators(engine, "kitchen")
    with writing(engine) as connection:
        devices.store_status(connection, kitchen, devices.Status("kitchen", online=True), DAY)
        devices.store_state(connection, kitchen, devices.ActuatorState("kitchen", "led", "ON", None), DAY)
        device_tokens.replace(connection, kitchen, DeviceToken("kitchen", "sm_d_1", DAY, None, "anna"), "d" * 64)
        places.change(connection, KEY, "kitchen", PlaceChange(label="Küche", hidden=True), by=ANNA, at=DAY)
        polls.note(connection, "kitchen", DAY, DAY)
        receipts.insert_new(connection, {(kitchen, "b", 1): 1}, DAY)
        readings.store_latest(connection, [(temperature, DAY, 1.0, DAY)])
    return found


def ask(engine: Engine, at: int = LATER) -> None:
    with writing(engine) as connection:
        removal.ask(connection, KEY, "kitchen", by=ANNA, at=at)


def work(engine: Engine) -> list[int]:
    return list(removal.work(engine, partial(writing, engine), "w", LATER))


def adds_up(engine: Engine) -> bool:
    with snapshot(engine) as connection:
        return balance.read(connection).off_by == 0


def test_a_deleted_device_is_in_no_list_at_once(series: Series, engine: Engine) -> None:
    ask(engine)
    with reading(engine) as connection:
        assert devices.every(connection) == []
        assert devices.every_series(connection) == []
        assert devices.every_actuator(connection) == []
        assert device_tokens.every(connection) == []
        assert places.every(connection) == {}
        assert polls.every(connection) == []
        assert removal.removed(connection) == {"kitchen": LATER}
        assert [(one.device, one.by, one.readings) for one in removal.under_way(connection)] == [("kitchen", "anna", 0)]
        assert audit.search(connection, action="device.delete")[0].entry.subject == "kitchen"
    assert series.rows()
    with writing(engine) as connection, pytest.raises(UnknownTarget):
        removal.ask(connection, KEY, "kitchen", by=ANNA, at=LATER)


def test_its_data_go_some_at_a_time_and_are_counted(series: Series, engine: Engine, kitchen: int) -> None:
    ask(engine)
    assert sum(work(engine)) == 3 * 96
    assert (series.rows(), series.sealed()) == (0, 0)
    with reading(engine) as connection:
        assert account.imported_and_removed(connection) == (0, 3 * 96)
        assert removal.under_way(connection) == []
        assert list(readings.newest(connection)) == []
        assert not receipts.existing(connection, [(kitchen, "b", 1)])
        assert states.between(connection, "kitchen", "led", 0, LATER).empty
    assert adds_up(engine)
    assert work(engine) == []


def test_one_that_was_broken_off_is_gone_on_with(series: Series, engine: Engine) -> None:
    ask(engine)
    gone = 0
    for _ in range(500):
        with reading(engine) as connection:
            if not removal.under_way(connection):
                break
        gone += next(removal.work(engine, partial(writing, engine), "w", LATER))
        assert adds_up(engine)
        with reading(engine) as connection:
            assert sum(one.readings for one in removal.under_way(connection)) in (gone, 0)
    assert gone == 3 * 96
    assert series.rows() == 0


def test_what_it_sends_afterwards_stays_and_it_is_there_again(series: Series, engine: Engine, kitchen: int) -> None:
    ask(engine)
    with writing(engine) as connection:
        assert devices.ensure(connection, ["kitchen"], LATER + 5) == {"kitchen": kitchen}
        assert devices.every(connection) == []
        devices.store_last_seen(connection, {kitchen: LATER + 5})
    series.receive([(LATER + 5, 1.5)])
    work(engine)
    with reading(engine) as connection:
        (found,) = devices.every(connection)
        assert (found.id, found.model, found.online) == (kitchen, None, None)
        assert places.every(connection)["kitchen"].label is None
        assert removal.removed(connection) == {}
    assert series.rows() == 1
    assert adds_up(engine)


def test_given_readings_by_hand_it_is_there_again(series: Series, engine: Engine, kitchen: int) -> None:
    assert series.rows()
    ask(engine)
    with writing(engine) as connection:
        devices.bring_back(connection, [kitchen])
        assert [device.name for device in devices.every(connection)] == ["kitchen"]
