"""Addresses and what must not be shown of them, however they are spoilt."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from settings import MqttAddress, load, mask_password, parse_mqtt_url
from tests.settings.reading import mistakes, set_environment


def test_urls_with_escaped_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, MQTT_URL="mqtts://a%40b:p%2Fw%3A%20%40@broker.example")
    broker = load().broker
    assert broker is not None
    assert broker == MqttAddress("broker.example", 8883, True, "a@b", SecretStr("p/w: @"))
    assert str(broker) == "mqtts://broker.example:8883"
    assert "p/w" not in repr(broker)


def test_secrets_are_masked_in_repr_and_str(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(
        monkeypatch,
        DATABASE_URL="mysql+pymysql://u:hush@h/m",
        MQTT_URL="mqtt://u:hush@h",
        MQTT_ADMIN_PASSWORD="hush",
        SECRET_KEY="hush",
        ADMIN_PASSWORD="hush",
    )
    settings = load()
    assert "hush" not in f"{settings} {settings!r}"
    assert "hush" in settings.database


SPOILT = [
    ("DATABASE_URL", "postgresql://user:hush@host/d"),
    ("DATABASE_URL", "mysql+pymysql://user:hush@host"),
    ("DATABASE_URL", "mysql+pymysql://user:hush@host:port/d"),
    ("DATABASE_URL", "mysql+pymysql://user:#hush@host/d"),
    ("DATABASE_URL", "mysql+pymysql:/user:hush@host/d"),
    ("MQTT_URL", "http://user:hush@host"),
    ("MQTT_URL", "mqtt://user:hush@host:0"),
    ("MQTT_URL", "mqtt://user:hush@host:99999"),
    ("MQTT_URL", "mqtt://user:/hush@host"),
    ("MQTT_URL", "mqtt://user:?hush@host"),
    ("MQTT_URL", "mqtt://user:#hush@host"),
    ("MQTT_URL", "mqtt://user:12#hush@host"),
    ("MQTT_URL", "mqtt://user:[hush@host"),
    ("MQTT_URL", "mqtt:user:hush@host"),
    ("MQTT_URL", "user:hush@host"),
]


@pytest.mark.parametrize(("name", "given"), SPOILT)
def test_a_spoilt_address_is_refused_without_its_password(
    name: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, given)
    (line,) = mistakes()
    assert line.startswith(f"{name}: ")
    assert "hush" not in line


def test_an_address_in_a_list_shows_no_password(folder: Path) -> None:
    (folder / ".streamlit/secrets.toml").write_text('MQTT_URL = ["mqtt://user:hush@host"]\nSECRET_KEY = ["hush"]\n')
    lines = mistakes()
    assert len(lines) == 2
    assert "hush" not in "".join(lines)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("mqtt://h:1883", "mqtt://h:1883"),
        ("mqtt://u@h", "mqtt://u@h"),
        ("mqtt://u:p@h:1", "mqtt://u:***@h:1"),
        ("mysql+pymysql://u:a:b@h/d?x=1", "mysql+pymysql://u:***@h/d?x=1"),
        ("mysql+pymysql://u:a@b@h/d", "mysql+pymysql://u:***@h/d"),
        ("mysql+pymysql://u:/a#b?c@h/d", "mysql+pymysql://u:***@h/d"),
        ("mysql+pymysql://u:p@[::1]:3306/d", "mysql+pymysql://u:***@[::1]:3306/d"),
        ("sqlite:///data/monitor.db", "sqlite:///data/monitor.db"),
    ],
)
def test_mask_password(url: str, masked: str) -> None:
    assert mask_password(url) == masked


def test_an_address_reads_back_as_it_is_written() -> None:
    for url in ("mqtt://h:1883", "mqtts://h:8883", "mqtt://[::1]:1883"):
        assert str(parse_mqtt_url(url)) == url
