"""Addresses and what must not be shown of them, however they are spoilt."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from settings import MqttAddress, SettingsError, load, mask_password, parse_mqtt_url, secret_key
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
        MQTT_ADMIN_USER="admin",
        MQTT_ADMIN_PASSWORD="hush",
        SECRET_KEY="hush" * 8,
        ADMIN_PASSWORD="hush" * 3,
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
    ("MQTT_DEVICE_URL", "mqtt://user:hush@host"),
    ("MQTT_DEVICE_URL", "user:hush@host"),
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


def test_a_secret_that_is_too_short_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, SECRET_KEY="hush", ADMIN_PASSWORD="hush")
    assert [line.split(" is ")[0] for line in mistakes()] == ["SECRET_KEY: ***", "ADMIN_PASSWORD: ***"]
    assert "hush" not in "".join(mistakes())


def test_a_key_is_made_once_for_its_owner_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, DATA_DIR=str(folder / "deeper" / "data"))
    key = secret_key(load())
    assert len(key) == 64
    assert secret_key(load()) == key
    (file,) = (folder / "deeper" / "data").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("secret_key", 0o600)
    assert file.read_bytes() == key + b"\n"


def test_of_several_that_make_a_key_at_once_all_have_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, DATA_DIR=str(folder / "data"))
    settings = load()
    together = threading.Barrier(8)

    def make(_: int) -> bytes:
        together.wait(10)
        return secret_key(settings)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(make, range(8)))) == 1
    assert [file.name for file in (folder / "data").iterdir()] == ["secret_key"]


def test_the_key_of_the_settings_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, DATA_DIR=str(folder / "data"), SECRET_KEY="k" * 40)
    assert secret_key(load()) == b"k" * 40
    assert not (folder / "data").exists()


@pytest.mark.parametrize("content", [b"", b"short\n"])
def test_a_spoilt_key_is_said_and_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    set_environment(monkeypatch, DATA_DIR=str(folder))
    (folder / "secret_key").write_bytes(content)
    with pytest.raises(SettingsError, match="is spoilt"):
        secret_key(load())
    assert (folder / "secret_key").read_bytes() == content


def test_a_key_that_can_not_be_made_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "in-the-way").touch()
    set_environment(monkeypatch, DATA_DIR=str(folder / "in-the-way"))
    with pytest.raises(SettingsError, match=r"SECRET_KEY: .* can't be read or made: "):
        secret_key(load())
