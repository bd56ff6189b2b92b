from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from db import devices, migrations
from db.devices import About, Actuator, ActuatorAbout, ActuatorState, Device, Series, Status
from db.engine import Connection, Engine, create, reading, writing
from db.schema import actuators
from tests.db.conftest import NOW

LOOKALIKES = ["Temp", "temp", "temp ", "temp  ", "tëmp", "tèmp", "temp\u00a0", "ss", "ß", "😀", "😁"]


def _device(engine: Engine, name: str) -> Device:
    with reading(engine) as connection:
        return next(device for device in devices.every(connection) if device.name == name)


def _find(connection: Connection, device: str, metric: str) -> Series | None:
    return next((series for series in devices.every_series(connection, device) if series.metric == metric), None)


def test_ensure_makes_what_is_new_and_finds_what_is_there(engine: Engine) -> None:
    with writing(engine) as connection:
        first = devices.ensure(connection, ["b", "a"], NOW)
    with writing(engine) as connection:
        second = devices.ensure(connection, ["c", "a", "b"], NOW + 5)
    assert second["a"] == first["a"]
    assert second["b"] == first["b"]
    assert len(set(second.values())) == 3
    with reading(engine) as connection:
        found = devices.every(connection)
    assert [device.name for device in found] == ["a", "b", "c"]
    assert found[0] == Device(first["a"], "a", None, None, None, None, NOW, None, None)


def test_ensure_takes_more_names_than_a_statement_does(engine: Engine) -> None:
    names = [f"device-{n}" for n in range(1200)]
    with writing(engine) as connection:
        assert sorted(devices.ensure(connection, names, NOW)) == sorted(names)
        assert devices.ensure(connection, [], NOW) == {}


def test_devices_are_told_apart_by_case(engine: Engine) -> None:
    with writing(engine) as connection:
        ids = devices.ensure(connection, ["Kitchen", "kitchen", "site1/kitchen"], NOW)
    assert len(set(ids.values())) == 3


def test_metrics_are_told_apart_by_every_character(engine: Engine, kitchen: int) -> None:
    with writing(engine) as connection:
        ids = devices.ensure_series(connection, [(kitchen, metric) for metric in LOOKALIKES], NOW)
    assert len(set(ids.values())) == len(LOOKALIKES)
    with reading(engine) as connection:
        for metric in LOOKALIKES:
            found = _find(connection, "kitchen", metric)
            assert found is not None
            assert found.id == ids[kitchen, metric]
        assert _find(connection, "KITCHEN", "temp") is None


def test_ensure_series_knows_devices_apart(engine: Engine) -> None:
    with writing(engine) as connection:
        ids = devices.ensure(connection, ["a", "b"], NOW)
        wanted = [(ids["a"], "x"), (ids["b"], "x"), (ids["a"], "y"), (ids["a"], "x")]
        first = devices.ensure_series(connection, wanted, NOW)
        assert devices.ensure_series(connection, wanted, NOW) == first
    assert len(set(first.values())) == 3
    with reading(engine) as connection:
        assert [(s.device, s.metric) for s in devices.every_series(connection)] == [("a", "x"), ("a", "y"), ("b", "x")]
        assert devices.every_series(connection, "b") == [Series(first[ids["b"], "x"], "b", "x", None, None)]


def test_the_longest_names_are_kept_whole(engine: Engine) -> None:
    device, metric = f"{'s' * 64}/{'d' * 64}", "😀" * 128
    with writing(engine) as connection:
        ids = devices.ensure(connection, [device], NOW)
        devices.ensure_series(connection, [(ids[device], metric)], NOW)
    with reading(engine) as connection:
        assert _find(connection, device, metric) is not None


@pytest.mark.parametrize("online", [True, False])
def test_status(engine: Engine, kitchen: int, online: bool) -> None:
    with writing(engine) as connection:
        devices.store_status(connection, kitchen, Status("kitchen", online), NOW + 7)
    found = _device(engine, "kitchen")
    assert (found.online, found.status_at) == (online, NOW + 7)


def test_about_keeps_what_it_does_not_name(engine: Engine, kitchen: int) -> None:
    fan = ActuatorAbout("fan", 0, 100, 0.5, "%")
    with writing(engine) as connection:
        first = About("kitchen", "m1", "1.0", (fan, ActuatorAbout("led")), {"temperature": "°C"})
        devices.store_about(connection, kitchen, first, NOW)
        devices.store_about(connection, kitchen, About("kitchen", None, "1.1", (), {"humidity": "%"}), NOW)
    found = _device(engine, "kitchen")
    assert (found.model, found.firmware) == ("m1", "1.1")
    with reading(engine) as connection:
        assert [(s.metric, s.unit) for s in devices.every_series(connection)] == [
            ("humidity", "%"),
            ("temperature", "°C"),
        ]
        assert devices.every_actuator(connection) == [
            Actuator("kitchen", "fan", 0, 100, 0.5, "%", None, None),
            Actuator("kitchen", "led", None, None, None, None, None, None),
        ]


def _report(engine: Engine, device_id: int, state: str, at: int) -> tuple[str | None, int | None]:
    with writing(engine) as connection:
        devices.store_state(connection, device_id, ActuatorState("kitchen", "led", state, None), at)
        (found,) = devices.every_actuator(connection)
    return found.state, found.state_at


def test_state_at_moves_only_when_the_state_changes(engine: Engine, kitchen: int) -> None:
    assert _report(engine, kitchen, "ON", NOW) == ("ON", NOW)
    assert _report(engine, kitchen, "ON", NOW + 1) == ("ON", NOW)
    assert _report(engine, kitchen, "OFF", NOW + 2) == ("OFF", NOW + 2)
    assert _report(engine, kitchen, "OFF", NOW + 3) == ("OFF", NOW + 2)
    assert _report(engine, kitchen, "ON", NOW + 4) == ("ON", NOW + 4)


def test_an_about_after_a_state_keeps_it(engine: Engine, kitchen: int) -> None:
    _report(engine, kitchen, "ON", NOW)
    with writing(engine) as connection:
        devices.store_about(connection, kitchen, About("kitchen", None, None, (ActuatorAbout("led"),), {}), NOW)
        (found,) = devices.every_actuator(connection)
    assert (found.state, found.state_at) == ("ON", NOW)


def test_boots(engine: Engine, kitchen: int) -> None:
    with writing(engine) as connection:
        devices.store_boots(connection, {kitchen: ("~1", 7)})
        devices.store_boots(connection, {})
    found = _device(engine, "kitchen")
    assert (found.boot, found.boot_seq) == ("~1", 7)


def test_last_seen_moves_forward_only(engine: Engine, kitchen: int) -> None:
    with writing(engine) as connection:
        cellar = devices.ensure(connection, ["cellar"], NOW)["cellar"]
        devices.store_last_seen(connection, {kitchen: NOW + 9, cellar: NOW - 9, 999: NOW})
        devices.store_last_seen(connection, {})
    assert _device(engine, "kitchen") == Device(kitchen, "kitchen", None, None, None, None, NOW + 9, None, None)
    assert _device(engine, "cellar").last_seen == NOW


def test_who_moves_last_seen_waits_for_no_device_that_another_is_making(mariadb_url: str) -> None:
    engine, other = create(mariadb_url), create(mariadb_url)
    migrations.apply(engine)
    with writing(engine) as connection:
        known = devices.ensure(connection, ["kitchen"], NOW)["kitchen"]

    def move() -> None:
        with writing(other) as connection:
            devices.store_last_seen(connection, {known: NOW + 9})

    thread = threading.Thread(target=move)
    with writing(engine) as connection:
        devices.ensure(connection, ["cellar"], NOW)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "it would hold the kitchen meanwhile, for which this batch may come next"
        devices.store_status(connection, known, Status("kitchen", online=True), NOW)
    assert _device(engine, "kitchen").last_seen == NOW + 9
    for one in (engine, other):
        one.dispose()


def test_a_retained_status_that_says_nothing_new_moves_no_time(engine: Engine, kitchen: int) -> None:
    for online, at, retained in ((False, 100, False), (False, 200, True), (True, 300, True), (True, 400, False)):
        with writing(engine) as connection:
            devices.store_status(connection, kitchen, Status("kitchen", online), at, retained=retained)
        expected = {100: (False, 100), 200: (False, 100), 300: (True, 300), 400: (True, 400)}[at]
        found = _device(engine, "kitchen")
        assert (found.online, found.status_at) == expected


def test_a_state_that_is_reported_again_uses_up_no_number(engine: Engine, kitchen: int) -> None:
    for name in ("led", "led", "led", "fan"):
        with writing(engine) as connection:
            devices.store_state(connection, kitchen, ActuatorState("kitchen", name, "ON", None), NOW)
    with reading(engine) as connection:
        ids = list(connection.scalars(select(actuators.c.id).order_by(actuators.c.id)))
    assert ids[1] == ids[0] + 1
