"""Logins as pages and API make them: what is noted before and after, and what is left alone."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from broker import creation, dynamic_security, provisioning
from broker.logins import BadName, BrokerRefuses, DeviceLogins, LoginExists, NoLogin
from broker.paste import Reach
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import free_port
from tests.parts.production_broker import ProductionBroker


@pytest.fixture(scope="module")
def logins() -> Iterator[DeviceLogins]:
    """At a broker that runs for all tests here."""
    path = Path(tempfile.mkdtemp(prefix="sm-"))
    with ProductionBroker(path) as broker:
        reach = Reach("broker.example", 8883, tls=True, ca_file=Path("ca.crt"))
        yield DeviceLogins(creation.administrator(broker.directory), reach, broker.ca)
    shutil.rmtree(path)


class LostNotesError(Exception):
    """The audit log can't be written."""


@dataclass
class Notes:
    """What was noted; `full`: nothing can be."""

    full: bool = False
    kept: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, action: str, device: str, result: str, detail: str = "") -> None:
        del device, detail
        if self.full:
            raise LostNotesError
        self.kept.append((action.removeprefix("device_login."), result))


def test_what_can_not_be_noted_is_not_done(logins: DeviceLogins) -> None:
    with pytest.raises(LostNotesError):
        logins.add("unnoted", Notes(full=True))
    assert logins.find("unnoted") is None
    logins.add("noted", Notes())
    for change in (logins.revoke, logins.forget):
        with pytest.raises(LostNotesError):
            change("noted", Notes(full=True))
    account = logins.find("noted")
    assert account is not None
    assert not account.revoked


def test_a_login_goes_again_when_what_it_was_made_for_fails(logins: DeviceLogins) -> None:
    notes = Notes()
    with pytest.raises(ZeroDivisionError), logins.adding("undone", notes):
        raise ZeroDivisionError
    assert logins.find("undone") is None
    assert notes.kept == [("create", "asked"), ("create", "ok"), ("delete", "asked"), ("delete", "ok")]


def test_each_ends_as_it_says(logins: DeviceLogins) -> None:
    notes = Notes()
    first = logins.give("kitchen", notes)
    second = logins.give("kitchen", notes)
    assert first.password != second.password
    with pytest.raises(LoginExists):
        logins.add("kitchen", notes)
    logins.revoke("kitchen", notes)
    with pytest.raises(NoLogin):
        logins.revoke("kitchen", notes)
    logins.give("kitchen", notes)
    assert logins.forget("kitchen", notes)
    assert not logins.forget("kitchen", notes)
    assert [action for action, result in notes.kept if result == "ok"] == [
        "create",
        "replace",
        "revoke",
        "create",
        "delete",
    ]
    assert ("create", "failed") in notes.kept


def test_no_login_of_another_tool_is_taken(logins: DeviceLogins) -> None:
    administrator = logins.administrator
    dynamic_security.ask(administrator, [{"command": "createClient", "username": "operator", "password": "x"}])
    for make in (logins.add, logins.give):
        with pytest.raises(LoginExists, match="another tool"):
            make("operator", Notes())
    assert not logins.forget("operator", Notes())
    (answer,) = dynamic_security.ask(administrator, [{"command": "listClients"}])
    assert "operator" in answer["clients"]


def test_no_login_of_the_server_or_a_site_is_taken(logins: DeviceLogins) -> None:
    provisioning.add(logins.administrator, "plant", kind="site")
    with pytest.raises(LoginExists, match="bridge"):
        logins.give("plant", Notes())
    with pytest.raises(NoLogin):
        logins.revoke("plant", Notes())
    assert not logins.forget("plant", Notes())
    for name in (logins.administrator.username, "smart-monitor", "a/b", "", "#"):
        with pytest.raises(BadName):
            logins.add(name, Notes())


def test_away_it_says_so_in_words(logins: DeviceLogins) -> None:
    there = logins.administrator
    nobody = dynamic_security.Administrator("127.0.0.1", free_port(), there.username, there.password)
    notes = Notes()
    with pytest.raises(BrokerRefuses, match=r"no broker answers at .*: Connection refused\. Nothing was changed there"):
        DeviceLogins(nobody, logins.reach).add("kitchen", notes)
    assert notes.kept == [("create", "asked"), ("create", "failed")]
    with pytest.raises(BrokerRefuses, match="administrator's login"):
        DeviceLogins(dynamic_security.Administrator("127.0.0.1", there.port, "x", "y"), logins.reach).find("kitchen")


def test_a_broker_that_takes_the_connection_and_says_nothing_is_given_up(logins: DeviceLogins) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = replace(logins.administrator, port=silent.getsockname()[1], timeout_s=0.5)
        with pytest.raises(BrokerRefuses, match=r"out of reach: .* Nothing was changed there"):
            replace(logins, administrator=there).add("kitchen", Notes())


def test_a_broker_without_the_plugin_is_told(logins: DeviceLogins, mosquitto: Mosquitto) -> None:
    there = replace(logins.administrator, port=mosquitto.port, timeout_s=0.5)
    with pytest.raises(BrokerRefuses, match=r"Has it the dynamic security plugin\? Nothing was changed there"):
        replace(logins, administrator=there).add("kitchen", Notes())


def test_settings_for_boards_without_tls_are_shown_where_they_can_come_in(logins: DeviceLogins) -> None:
    made = provisioning.Credentials("kitchen", "secret", "kitchen")
    title = "config.json of an ESP8266 of ours"
    shown = {one.title: one.text for one in logins.snippets(made)}
    assert "--cafile ca.crt" in shown["Send a reading"]
    assert title not in shown
    beside = replace(logins, plain=Reach("192.0.2.7", 1883, tls=False))
    config = json.loads({one.title: one.text for one in beside.snippets(made)}[title])
    assert (config["mqtt_host"], config["mqtt_port"], config["mqtt_user"]) == ("192.0.2.7", 1883, "kitchen")
    plain = replace(logins, reach=Reach("broker.example", 1883, tls=False))
    assert [one.title for one in plain.snippets(made)].count(title) == 1


def test_what_devices_know_the_broker_by(logins: DeviceLogins, tmp_path: Path) -> None:
    assert "BEGIN CERTIFICATE" in (logins.certificate() or "")
    assert replace(logins, ca_file=None).certificate() is None
    assert replace(logins, ca_file=tmp_path / "closed to us").certificate() is None
