"""Adding a device, and its login, where the broker is away, or this server makes no logins; without a browser."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from db import places
from db.engine import reading
from runtime import Runtime, get_runtime
from tests.pages.test_doors_pages import opened, text_of
from tests.pages.test_pages import start
from tests.parts.doors import ROOT
from tests.parts.eventually import eventually
from tests.parts.ports import free_port

# Streamlit's test runner leaves the event loops of its script threads open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What the runner left is collected here, where it is forgiven, and not in some other test."""
    yield
    gc.collect()


@pytest.fixture
def running(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, part_directory: Path) -> Iterator[Runtime]:
    """A runtime with these settings, and nobody where its broker should be."""
    broker = {"MQTT_URL": f"mqtt://127.0.0.1:{free_port()}"}
    start(monkeypatch, part_directory, **(broker | request.param))
    get_runtime.clear()
    runtime = get_runtime()
    eventually(lambda: runtime.health().database.state == "connected" and runtime.doors.users())
    yield runtime
    get_runtime.clear()


WITH_LOGINS = {"MQTT_ADMIN_USER": "admin", "MQTT_ADMIN_PASSWORD": "hush"}


def add(app: AppTest, name: str) -> None:
    next(one for one in app.text_input if one.label == "Name of a new device").set_value(name)
    next(one for one in app.button if one.label == "Add device").click().run()


def known(runtime: Runtime) -> set[str]:
    with reading(runtime.engine) as connection:
        return set(places.every(connection))


@pytest.mark.parametrize("running", [WITH_LOGINS], indirect=True)
def test_while_the_broker_is_away_nothing_is_half_made_or_half_deleted(running: Runtime) -> None:
    app = opened(running, "devices.py", "admin")
    add(app, "kitchen")
    assert not app.exception
    assert 'role="alert"' in text_of(app)
    assert "no broker answers at 127.0.0.1" in text_of(app)
    assert "Nothing was changed there." in text_of(app)
    assert known(running) == set()

    running.doors.create_device_token(ROOT, "cellar")
    app = opened(running, "devices.py", "admin")
    app.query_params["device"] = "cellar"
    app.run()
    assert not app.exception
    assert "Login at the broker" in [one.value for one in app.subheader]
    assert "Connection refused. Whether it may come in is shown when that is mended." in text_of(app)
    assert "Token for HTTP" in [one.value for one in app.subheader], "the rest of the page is there"


@pytest.mark.parametrize("running", [{}], indirect=True)
def test_where_no_administrator_is_set_it_says_what_to_type(running: Runtime) -> None:
    app = opened(running, "devices.py", "admin")
    assert "python -m broker device add NAME" in [one.value for one in app.code]
    assert "Add device" not in [one.label for one in app.button]

    _add_for_http(running, app)
    app = opened(running, "devices.py", "admin")
    app.query_params["device"] = "poster"
    app.run()
    assert "python -m broker device add poster" in [one.value for one in app.code]


@pytest.mark.parametrize("running", [{"MQTT_URL": ""}], indirect=True)
def test_the_embedded_broker_asks_nobody_for_a_login(running: Runtime) -> None:
    app = opened(running, "devices.py", "admin")
    assert "it asks nobody for a login" in text_of(app)
    _add_for_http(running, app)


def _add_for_http(running: Runtime, app: AppTest) -> None:
    app.radio[0].set_value("over HTTP").run()
    add(app, "poster")

    assert not app.exception
    assert known(running) == {"poster"}
    assert "Token of poster" in text_of(app)
