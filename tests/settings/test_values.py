from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from settings import MqttAddress, Settings, load
from tests.settings.reading import mistakes, set_environment

NAMES: Final = sorted(name.upper() for name in Settings.model_fields)

DEFAULTS: Final[dict[str, object]] = {
    "DATABASE_URL": None,
    "MQTT_URL": None,
    "MQTT_CA_FILE": None,
    "MQTT_CERT_FILE": None,
    "MQTT_KEY_FILE": None,
    "MQTT_PROTOCOL": "auto",
    "MQTT_SHARE_GROUP": None,
    "MQTT_ADMIN_USER": None,
    "MQTT_ADMIN_PASSWORD": None,
    "MQTT_DEVICE_URL": None,
    "MQTT_DEVICE_PLAIN_URL": None,
    "MQTT_DEVICE_CA_FILE": None,
    "TOPIC_ROOT": "iot",
    "INGEST": "thread",
    "MAX_MESSAGE_BYTES": 1_000_000,
    "DEAD_LETTERS_MAX": 100_000,
    "COMMAND_DEADLINE_S": 60,
    "DEMO_DEVICES": None,
    "REQUIRE_LOGIN": "control",
    "SESSION_DAYS": 30,
    "SECRET_KEY": None,
    "ADMIN_PASSWORD": None,
    "SEAL_AFTER_DAYS": 2,
    "RETENTION_RAW_DAYS": None,
    "RETENTION_HOUR_DAYS": None,
    "DISPLAY_TIMEZONE": None,
    "HOST": "127.0.0.1",
    "PORT": 8501,
    "BASE_PATH": "",
    "TRUSTED_PROXIES": (),
    "DATA_DIR": Path("data"),
    "LOG_LEVEL": "info",
}


def test_defaults() -> None:
    settings = load()
    found = {name: getattr(settings, name.lower()) for name in NAMES}
    assert found.pop("MQTT_CLIENT_ID").startswith("smart-monitor-")
    assert found == DEFAULTS
    assert settings.database == "sqlite:///data/monitor.db"
    assert settings.broker is None
    assert settings.demo_device_count == 3


def test_no_demo_devices_beside_a_real_broker_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, MQTT_URL="mqtt://broker.example")
    assert load().demo_device_count == 0
    set_environment(monkeypatch, DEMO_DEVICES="7")
    assert load().demo_device_count == 7


def test_the_database_lies_in_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, DATA_DIR="/var/lib/monitor")
    assert load().database == "sqlite:////var/lib/monitor/monitor.db"


GOOD = [
    ("DATABASE_URL", "sqlite:////var/lib/monitor.db", SecretStr("sqlite:////var/lib/monitor.db")),
    ("DATABASE_URL", "mysql+pymysql://u:p@h/m", SecretStr("mysql+pymysql://u:p@h/m")),
    ("DATABASE_URL", "mariadb+pymysql://u:p@h:3307/m", SecretStr("mariadb+pymysql://u:p@h:3307/m")),
    ("MQTT_CLIENT_ID", "attic", "attic"),
    ("MQTT_PROTOCOL", "5", "5"),
    ("MQTT_PROTOCOL", "3.1.1", "3.1.1"),
    ("MQTT_DEVICE_URL", "mqtts://broker.example", "mqtts://broker.example"),
    ("TOPIC_ROOT", "+/iot", "+/iot"),
    ("TOPIC_ROOT", "home/iot", "home/iot"),
    ("MAX_MESSAGE_BYTES", "268435455", 268_435_455),
    ("DEAD_LETTERS_MAX", "1", 1),
    ("COMMAND_DEADLINE_S", "5", 5),
    ("REQUIRE_LOGIN", "all", "all"),
    ("SESSION_DAYS", "1", 1),
    ("SECRET_KEY", "k" * 32, SecretStr("k" * 32)),
    ("ADMIN_PASSWORD", "p" * 10, SecretStr("p" * 10)),
    ("DEMO_DEVICES", "0", 0),
    ("SEAL_AFTER_DAYS", "0", 0),
    ("RETENTION_RAW_DAYS", "400", 400),
    ("RETENTION_HOUR_DAYS", "4000", 4000),
    ("DISPLAY_TIMEZONE", "Europe/Berlin", "Europe/Berlin"),
    ("HOST", "::", "::"),
    ("PORT", "65535", 65_535),
    ("BASE_PATH", "/monitor", "/monitor"),
    ("TRUSTED_PROXIES", "10.0.0.1, 192.168.0.0/16,", ("10.0.0.1", "192.168.0.0/16")),
    ("DATA_DIR", "/srv", Path("/srv")),
    ("LOG_LEVEL", "debug", "debug"),
]


@pytest.mark.parametrize(("name", "given", "expected"), GOOD)
def test_good_value(name: str, given: str, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, given)
    assert getattr(load(), name.lower()) == expected


BAD = [
    ("DATABASE_URL", "postgresql://u:p@h/d", "mysql+pymysql"),
    ("DATABASE_URL", "sqlite://", "names no file"),
    ("DATABASE_URL", "sqlite://host/file.db", "names no file"),
    ("DATABASE_URL", "mysql+pymysql://u:p@h", "host and a database"),
    ("DATABASE_URL", "mysql+pymysql:///d", "host and a database"),
    ("DATABASE_URL", "mysql+pymysql://u:p@h:port/d", "port"),
    ("DATABASE_URL", "monitor.db", "sqlite:///"),
    ("MQTT_URL", "http://h", "mqtt://"),
    ("MQTT_URL", "h:1883", "mqtt://"),
    ("MQTT_URL", "mqtt://", "mqtt://"),
    ("MQTT_URL", "mqtt://h/topic", "mqtt://"),
    ("MQTT_URL", "mqtt://h?x=1", "mqtt://"),
    ("MQTT_URL", "mqtt://h:99999", "port"),
    ("MQTT_URL", "mqtt://h:x", "port"),
    ("MQTT_CA_FILE", "missing.pem", "missing.pem"),
    ("MQTT_DEVICE_URL", "http://h", "mqtt://host"),
    ("MQTT_DEVICE_URL", "mqtt://user:hush@h", "must hold no login"),
    ("MQTT_DEVICE_PLAIN_URL", "mqtts://h", "no TLS"),
    ("MQTT_DEVICE_CA_FILE", "missing.pem", "missing.pem"),
    ("MQTT_DEVICE_CA_FILE", "/", "there is no file"),
    ("MQTT_PROTOCOL", "4", "auto"),
    ("MQTT_SHARE_GROUP", "workers", "needs MQTT_URL"),
    ("MQTT_SHARE_GROUP", "a/b", "without '/'"),
    ("MQTT_SHARE_GROUP", "a+", "without '/'"),
    ("MQTT_SHARE_GROUP", "#", "without '/'"),
    ("MQTT_SHARE_GROUP", "g" * 65, "1 to 64"),
    ("TOPIC_ROOT", "iot/#", "iot or +/iot"),
    ("TOPIC_ROOT", "/iot", "iot or +/iot"),
    ("TOPIC_ROOT", "iot/", "iot or +/iot"),
    ("TOPIC_ROOT", "+", "iot or +/iot"),
    ("TOPIC_ROOT", "a+/iot", "iot or +/iot"),
    ("TOPIC_ROOT", "home/+/iot", "first level only"),
    ("INGEST", "on", "'thread' or 'off'"),
    ("INGEST", "off", "MQTT_URL"),
    ("MAX_MESSAGE_BYTES", "999", "1000"),
    ("MAX_MESSAGE_BYTES", "268435456", "268435455"),
    ("MAX_MESSAGE_BYTES", "1 MB", "integer"),
    ("DEAD_LETTERS_MAX", "0", "1"),
    ("COMMAND_DEADLINE_S", "0", "1"),
    ("DEMO_DEVICES", "101", "100"),
    ("DEMO_DEVICES", "-1", "0"),
    ("REQUIRE_LOGIN", "none", "'control' or 'all'"),
    ("SESSION_DAYS", "0", "1"),
    ("SECRET_KEY", "k" * 31, "32 or more characters"),
    ("ADMIN_PASSWORD", "p" * 9, "10 or more characters"),
    ("SEAL_AFTER_DAYS", "-1", "0"),
    ("RETENTION_RAW_DAYS", "0", "1"),
    ("RETENTION_HOUR_DAYS", "soon", "integer"),
    ("DISPLAY_TIMEZONE", "Berlin", "Europe/Berlin"),
    ("DISPLAY_TIMEZONE", "../etc/passwd", "Europe/Berlin"),
    ("PORT", "0", "1"),
    ("PORT", "65536", "65535"),
    ("PORT", "http", "integer"),
    ("BASE_PATH", "monitor", "/monitor"),
    ("BASE_PATH", "/monitor/", "/monitor"),
    ("TRUSTED_PROXIES", "10.0.0.1,somewhere", "192.168.0.0/16"),
    ("LOG_LEVEL", "loud", "'warning'"),
]


def test_a_group_beside_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, MQTT_URL="mqtt://broker.example", MQTT_SHARE_GROUP="work ers")
    assert load().mqtt_share_group == "work ers"


@pytest.mark.parametrize(("name", "given", "hint"), BAD)
def test_bad_value_is_one_line_that_names_setting_and_what_is_allowed(
    name: str, given: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, given)
    (line,) = mistakes()
    assert line.startswith((f"{name}: ", f"{name}={given} "))
    assert hint in line


@pytest.mark.parametrize("name", ["MQTT_ADMIN_USER", "MQTT_ADMIN_PASSWORD"])
def test_the_administrator_s_name_and_password_go_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hush")
    assert mistakes() == ["MQTT_ADMIN_USER and MQTT_ADMIN_PASSWORD: set both or neither"]


def test_where_devices_reach_the_broker(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "ours.pem").touch()
    (folder / "theirs.pem").touch()
    assert load().device_broker is None
    set_environment(monkeypatch, MQTT_URL="mqtts://user:hush@h:1", MQTT_CA_FILE="ours.pem")
    assert (load().device_broker, load().device_ca_file) == (MqttAddress("h", 1, tls=True), Path("ours.pem"))
    set_environment(monkeypatch, MQTT_DEVICE_URL="mqtts://outside.example")
    outside = MqttAddress("outside.example", 8883, tls=True)
    assert (load().device_broker, load().device_ca_file) == (outside, None), "a certificate that all know"
    set_environment(monkeypatch, MQTT_DEVICE_CA_FILE="theirs.pem")
    assert load().device_ca_file == Path("theirs.pem")
    set_environment(monkeypatch, MQTT_DEVICE_URL="mqtt://outside.example")
    assert load().device_ca_file is None


def test_what_is_set_in_vain_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().without_effect() == []
    set_environment(monkeypatch, MQTT_ADMIN_USER="admin", MQTT_ADMIN_PASSWORD="hush", MQTT_DEVICE_URL="mqtt://h")
    said = load().without_effect()
    assert [line.split()[0] for line in said] == ["MQTT_ADMIN_PASSWORD", "MQTT_ADMIN_USER", "MQTT_DEVICE_URL"]
    assert all("embedded broker" in line and "hush" not in line for line in said)
    set_environment(monkeypatch, MQTT_URL="mqtt://broker.example")
    assert load().without_effect() == []


@pytest.mark.parametrize("name", ["MQTT_CERT_FILE", "MQTT_KEY_FILE"])
def test_certificate_and_key_go_together(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "alone.pem").touch()
    monkeypatch.setenv(name, "alone.pem")
    assert mistakes() == ["MQTT_CERT_FILE and MQTT_KEY_FILE: set both or neither"]


@pytest.mark.parametrize(("name", "given"), [("PORT", "http"), ("LOG_LEVEL", "loud"), ("DISPLAY_TIMEZONE", "Berlin")])
def test_a_line_repeats_the_value(name: str, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, given)
    assert repr(given) in mistakes()[0]


def test_several_mistakes_are_reported_together(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    set_environment(monkeypatch, PORT="0", INGEST="maybe")
    (folder / ".env").write_text("LOG_LEVEL=loud\nNO_SUCH_THING=1\n")
    lines = mistakes()
    assert sorted(line.split(":")[0] for line in lines) == ["INGEST", "LOG_LEVEL", "NO_SUCH_THING", "PORT"]


def test_mistakes_between_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, INGEST="off", MQTT_SHARE_GROUP="workers", MQTT_CA_FILE="missing.pem")
    assert len(mistakes()) == 3


def test_unknown_key_in_dotenv(folder: Path) -> None:
    (folder / ".env").write_text("DATABASE_URI=sqlite:///x.db\nTRUSTED_PROXIES_MORE=10.0.0.1\n")
    for line, name in zip(mistakes(), ["DATABASE_URI", "TRUSTED_PROXIES_MORE"], strict=True):
        assert line.startswith(f"{name}: no such setting")


def test_unknown_key_in_secrets(folder: Path) -> None:
    (folder / ".streamlit/secrets.toml").write_text('DATABASE_URI = "sqlite:///x.db"\n[connections]\nx = 1\n')
    assert [line.split(":")[0] for line in mistakes()] == ["DATABASE_URI", "CONNECTIONS"]


def test_unknown_names_in_the_environment_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, DATABASE_URI="x", PORTS="y")
    assert load().port == 8501


def test_precedence_is_environment_dotenv_secrets(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / ".streamlit/secrets.toml").write_text('PORT = 1003\nTOPIC_ROOT = "secrets"\nHOST = "h3"\n')
    (folder / ".env").write_text("PORT=1002\nTOPIC_ROOT=dotenv\n")
    set_environment(monkeypatch, PORT="1001")
    settings = load()
    assert (settings.port, settings.topic_root, settings.host) == (1001, "dotenv", "h3")


@pytest.mark.parametrize("key", ["port", "PORT", "Port"])
def test_keys_in_any_case(key: str, folder: Path) -> None:
    (folder / ".streamlit/secrets.toml").write_text(f"{key} = 1234\n")
    assert load().port == 1234


@pytest.mark.parametrize("name", [".env", ".streamlit/secrets.toml"])
def test_a_file_that_cannot_be_read_is_one_line(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"\xff\xfe= [")
    (line,) = mistakes()
    assert line.startswith(".env or .streamlit/secrets.toml can't be read")


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_URL",
        "MQTT_URL",
        "MQTT_CA_FILE",
        "MQTT_ADMIN_PASSWORD",
        "MQTT_SHARE_GROUP",
        "DEMO_DEVICES",
        "SECRET_KEY",
        "RETENTION_RAW_DAYS",
        "DISPLAY_TIMEZONE",
        "BASE_PATH",
        "TRUSTED_PROXIES",
    ],
)
def test_empty_is_unset_where_unset_is_the_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    assert getattr(load(), name.lower()) == DEFAULTS[name]


@pytest.mark.parametrize("name", ["TOPIC_ROOT", "PORT", "HOST", "LOG_LEVEL", "MQTT_CLIENT_ID", "INGEST", "DATA_DIR"])
def test_empty_is_unset_elsewhere_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = getattr(load(), name.lower())
    monkeypatch.setenv(name, "")
    assert getattr(load(), name.lower()) == before


def test_client_id_fits_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the worker's rows, and MySQL's INSERT IGNORE would cut it without a word."""
    monkeypatch.setenv("MQTT_CLIENT_ID", "x" * 129)
    assert mistakes()[0].startswith("MQTT_CLIENT_ID")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1
