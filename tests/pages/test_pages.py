"""Each page as Streamlit runs it, without a browser, on a runtime of its own."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from db import devices, places, resends
from db.engine import writing
from db.places import PlaceChange
from db.resends import Resend
from db.rights import Actor, Origin
from ingest.vitals import now_ms
from runtime import Runtime, get_runtime
from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB
from tests.parts.ports import free_port

ROOT = Path(__file__).parents[2]
# Streamlit's test runner leaves the event loops of its script threads open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What the runner left is collected here, where it is forgiven, and not in some other test."""
    yield
    gc.collect()


def start(monkeypatch: pytest.MonkeyPatch, directory: Path, **settings: str) -> None:
    st.cache_data.clear()
    monkeypatch.chdir(ROOT)
    given = {"DATA_DIR": str(directory), "DATABASE_URL": f"sqlite:///{directory}/monitor.db", "DEMO_DEVICES": "0"}
    for name, value in (given | settings).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, part_directory: Path) -> Iterator[Runtime]:
    """A runtime with the embedded broker and an empty SQLite database."""
    start(monkeypatch, part_directory)
    get_runtime.clear()
    runtime = get_runtime()
    eventually(lambda: runtime.health().can_store)
    yield runtime
    get_runtime.clear()


@pytest.fixture
def without_parts(monkeypatch: pytest.MonkeyPatch, part_directory: Path) -> Iterator[Runtime]:
    """A runtime whose database and broker are not there."""
    database = f"mysql+pymysql://ann:hunter2@127.0.0.1:{free_port()}/monitor"
    start(monkeypatch, part_directory, DATABASE_URL=database, MQTT_URL=f"mqtt://127.0.0.1:{free_port()}")
    get_runtime.clear()
    yield get_runtime()
    get_runtime.clear()


def opened(page: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "navigation.py"), default_timeout=30)
    app.run()
    return app.switch_page(f"{page}.py").run() if page != "live" else app


def text_of(app: AppTest) -> str:
    """All that stands on the page."""
    return "\n".join(
        str(getattr(element, "value", "")) + str(getattr(element.proto, "body", "")) for element in app.main
    )


def publish(runtime: Runtime, topic: str, payload: str) -> None:
    address = ["-h", runtime.device_address.host, "-p", str(runtime.device_address.port)]
    subprocess.run(["mosquitto_pub", *address, "-q", "1", "-t", topic, "-m", payload], check=True, timeout=5)


def test_live_without_devices_tells_how_to_connect_one(running: Runtime) -> None:
    app = opened("live")

    assert not app.exception
    assert app.code[0].value.startswith(f"mosquitto_pub -h 127.0.0.1 -p {running.device_address.port} ")


def test_live_shows_the_last_hour_of_the_chosen_device(running: Runtime) -> None:
    publish(running, "iot/kitchen/telemetry", '{"temperature": 21.5}')
    publish(running, "iot/attic/about", '{"model": "x"}')
    eventually(lambda: len(running.board.current.devices) == 2)

    app = opened("live")

    assert not app.exception
    assert app.selectbox[0].value == "attic"
    assert "No readings in the last hour" in text_of(app)
    assert not app.selectbox[0].set_value("kitchen").run().exception
    assert "**temperature**" in text_of(app)


def test_history_without_readings_tells_how_to_send_one(running: Runtime) -> None:
    app = opened("history")

    assert not app.exception
    assert "Nothing is stored yet" in text_of(app)
    assert app.code[0].value.startswith(f"mosquitto_pub -h 127.0.0.1 -p {running.device_address.port} ")


def test_history_shows_the_first_device_and_names_the_zone(running: Runtime) -> None:
    publish(running, "iot/kitchen/telemetry", '[{"ts": 1760000000000, "x": 1}, {"ts": 1760000060000, "x": 2}]')
    eventually(lambda: running.health().account.readings.stored == 2)

    app = opened("history")

    assert not app.exception
    assert "No readings" in text_of(app)
    assert not app.button(key="history_last").click().run().exception
    assert "**x**" in text_of(app)
    assert "Times are those of UTC" in text_of(app)


def test_history_shows_what_was_switched_without_readings_too_and_calls_devices_as_people_do(running: Runtime) -> None:
    publish(running, "iot/relay/led/state", "ON")
    publish(running, "iot/kitchen/telemetry", '[{"ts": 1760000000000, "x": 1}, {"ts": 1760000060000, "x": 2}]')
    eventually(lambda: running.health().account.messages.stored == 2)
    with writing(running.engine) as connection:
        key, by = running.doors.key("audit"), Actor("anna", "admin", Origin("local"))
        places.change(connection, key, "kitchen", PlaceChange(label="The kitchen"), by=by, at=now_ms())
    eventually(lambda: (said := running.board.current.places.get("kitchen")) and said.label)

    app = opened("history")

    assert not app.exception
    assert app.multiselect[0].options == ["The kitchen", "relay"]
    assert "What was switched" not in text_of(app)
    assert not app.multiselect[0].set_value(["kitchen", "relay"]).run().exception
    assert "No readings" in text_of(app)
    assert "**What was switched**" in text_of(app)
    assert not app.multiselect[0].set_value(["relay"]).run().exception
    assert "**What was switched**" in text_of(app)


def test_live_of_simulated_devices_alone_tells_how_to_connect_a_real_one(running: Runtime) -> None:
    publish(running, "iot/room-1/about", '{"model": "simulated-dht22"}')
    publish(running, "iot/room-1/telemetry", '{"temperature": 21.5}')
    eventually(lambda: (known := running.board.current.devices.get("room-1")) and known.model and known.metrics)

    app = opened("live")

    assert not app.exception
    assert [one.label for one in app.expander] == ["Connect a real device"]
    assert app.code[0].value.startswith(f"mosquitto_pub -h 127.0.0.1 -p {running.device_address.port} ")
    subprocess.run(["bash", "-c", app.code[0].value], check=True, timeout=5)
    eventually(lambda: len(running.board.current.devices) == 2)
    assert not app.run().exception
    assert (len(app.expander), len(app.code)) == (0, 0), "there is a real one now"


def test_control_without_actuators_tells_how_one_makes_itself_known(running: Runtime) -> None:
    app = opened("control")

    assert not app.exception
    assert "Nothing to control yet" in text_of(app)
    line = app.code[0].value
    assert line.startswith(f"mosquitto_pub -h 127.0.0.1 -p {running.device_address.port} ")
    subprocess.run(["bash", "-c", line], check=True, timeout=5)
    eventually(lambda: "kitchen" in running.board.current.devices)
    assert not app.run().exception
    assert "Nothing to control yet" not in text_of(app)


def test_devices_without_devices_tells_how_to_connect_one(running: Runtime) -> None:
    app = opened("devices")

    assert not app.exception
    assert "No device has reported yet" in text_of(app)
    assert app.code[0].value.startswith(f"mosquitto_pub -h 127.0.0.1 -p {running.device_address.port} ")


def test_history_shows_what_was_switched(running: Runtime) -> None:
    for state in ("ON", "OFF"):
        publish(running, "iot/kitchen/led/state", state)
        publish(running, "iot/kitchen/telemetry", '{"x": 1}')
    eventually(lambda: running.health().account.messages.stored == 4)

    app = opened("history")

    assert not app.exception
    assert "What was switched" in text_of(app)


def test_system_when_all_is_well_and_nothing_has_come(running: Runtime) -> None:
    app = opened("system")

    assert not app.exception
    assert running.settings.topic_root == "iot"
    for said in ("connected", "Nothing is missing", "Every message so far could be understood"):
        assert said in text_of(app)


def test_system_tells_how_much_is_stored_once_it_was_looked_for(running: Runtime) -> None:
    app = opened("system")
    shown = ""

    def is_told() -> bool:
        nonlocal shown
        shown = text_of(app.run())
        return "readings kept" in shown

    assert eventually(is_told)
    assert not app.exception
    assert running.sizes.current() is not None
    for said in ("a row each", "disk full at this rate", "free on its disk"):
        assert said in shown


def test_system_shows_what_could_not_be_understood(running: Runtime) -> None:
    publish(running, "iot/kitchen/telemetry", "<b>warm</b>")
    eventually(lambda: running.health().account.messages.rejected == 1)

    shown = text_of(opened("system"))

    assert "&lt;b&gt;warm&lt;/b&gt;" in shown
    assert "iot/kitchen/telemetry" in shown


def test_system_shows_what_a_device_was_asked_to_send_again(running: Runtime) -> None:
    with writing(running.engine) as connection:
        device_id = devices.ensure(connection, ["kitchen"], now_ms())["kitchen"]
        row = Resend(device_id, "a1", 3, 5, now_ms(), 1, now_ms(), outcome="gone", ended_at=now_ms())
        resends.replace(connection, [], [row], [])

    app = opened("system")

    assert not app.exception
    for said in ("kitchen sent 3 messages that never reached us", "The device says that it has them no longer"):
        assert said in text_of(app)


def test_a_database_that_goes_away_leaves_the_cards_and_takes_no_page(
    monkeypatch: pytest.MonkeyPatch, part_directory: Path, own_mariadb: MariaDB
) -> None:
    start(monkeypatch, part_directory / "data", DATABASE_URL=own_mariadb.fresh_database())
    get_runtime.clear()
    runtime = get_runtime()
    eventually(lambda: runtime.health().can_store)
    publish(runtime, "iot/kitchen/telemetry", '{"temperature": 21.5}')
    eventually(lambda: runtime.board.current.devices)
    live, system, history = opened("live"), opened("system"), opened("history")

    own_mariadb.kill()
    eventually(lambda: runtime.health().database.state != "connected")
    st.cache_data.clear()  # what was read shortly before is shown for some seconds more

    for app in (live.run(), system.run(), history.run()):
        assert not app.exception
        assert "The database has been out of reach since" in text_of(app)
    assert "The chart comes back by itself" in text_of(live)
    assert "History comes back by itself" in text_of(history)
    assert live.selectbox[0].value == "kitchen"
    assert "are shown again when the database is back" in text_of(system)
    get_runtime.clear()


@pytest.mark.parametrize("page", ["live", "history", "control", "devices", "system"])
def test_parts_that_are_away_are_a_calm_word_and_no_traceback(without_parts: Runtime, page: str) -> None:
    eventually(lambda: without_parts.health().database.problem is not None)

    app = opened(page)

    assert not app.exception
    assert "The database has been out of reach since" in text_of(app)
    assert "hunter2" not in text_of(app)
    assert "No device has reported yet" not in text_of(app)
