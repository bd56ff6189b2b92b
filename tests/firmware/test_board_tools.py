"""Settings, building and flashing, as far as a PC without a board goes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from firmware import build
from firmware.__main__ import app
from firmware.esp8266 import config as esp8266
from firmware.lib.checks import ConfigError
from firmware.stm32 import config as stm32

RIGHT = {"device": "kitchen", "wifi_name": "home", "mqtt_host": "192.168.1.10"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def read_esp8266(directory: Path, settings: object) -> esp8266.Config:
    path = directory / "config.json"
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return esp8266.read(str(path))


def test_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    config = read_esp8266(tmp_path, RIGHT)
    assert (config.root, config.mqtt_port, config.source, config.readings_kept) == ("iot", 1883, "uart", 256)
    assert (config.uart_rx, config.led_pin, config.button_pin, config.status_pin, config.safe_pin) == (13, 5, 0, 2, 14)
    assert config.led_after_reset == "off"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("{", "no JSON"),
        ("[]", "must be an object"),
        ({}, "device is missing"),
        (RIGHT | {"device": "a/b"}, "device holds letters"),
        (RIGHT | {"device": "-a"}, "device holds letters"),
        (RIGHT | {"root": "a//b"}, "root must not be empty"),
        (RIGHT | {"mqtt_host": "broker.local"}, "mqtt_host must be an address"),
        (RIGHT | {"mqtt_host": ""}, "mqtt_host must be an address"),
        (RIGHT | {"protocol": "coap"}, "protocol must be one of mqtt, http"),
        (RIGHT | {"protocol": "http"}, "http_host must be an address"),
        (RIGHT | {"protocol": "http", "http_host": "10.0.0.1"}, "token is missing"),
        (RIGHT | {"mqtt_host": "192.168.1.256"}, "mqtt_host must be an address"),
        (RIGHT | {"mqtt_port": 0}, "mqtt_port must be a whole number from 1 to 65535, not 0"),
        (RIGHT | {"mqtt_port": True}, "mqtt_port must be a whole number"),
        (RIGHT | {"mqtt_port": "1883"}, "mqtt_port must be a whole number"),
        (RIGHT | {"time_host": "pool.ntp.org"}, "time_host must be"),
        (RIGHT | {"wifi_password": "x" * 64}, "wifi_password must be a text of 0 to 63"),
        (RIGHT | {"period_ms": 1999}, "period_ms must be at least sensor_rest_ms"),
        (RIGHT | {"source": "wire"}, "source must be one of uart, dht22"),
        (RIGHT | {"led_after_reset": "on"}, "led_after_reset must be one of off, last"),
        (RIGHT | {"sensor_pins": [9]}, "sensor_pins must be one of"),
        (RIGHT | {"sensor_names": []}, "sensor_names must be a list of 1 to 4"),
        (RIGHT | {"sensor_names": ["a b"]}, "sensor_names holds letters"),
        (RIGHT | {"sensor_names": ["a" * 17]}, "sensor_names must be texts of at most 16"),
        (RIGHT | {"sensor_names": [7]}, "sensor_names must be texts"),
        (RIGHT | {"wifi_pasword": "x"}, "wifi_pasword is no field of this board"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, settings: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_esp8266(tmp_path, settings)


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="python -m firmware config"):
        esp8266.read(str(tmp_path / "config.json"))


@pytest.mark.parametrize("settings", [{"sensors": [7]}, {"sensors": [""]}, {"period_ms": 100}, {"uart": 9}])
def test_the_stm32_names_wrong_fields_too(tmp_path: Path, settings: object) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=next(iter(settings))):  # type: ignore[call-overload]
        stm32.read(str(path))


def test_config_writes_what_the_board_takes(tmp_path: Path) -> None:
    path = tmp_path / "config.esp8266.json"
    given = [
        "--device",
        "kitchen",
        "--wifi",
        "home",
        "--password",
        "secret",
        "--broker",
        "mqtt://ann:pw@localhost:1884",
    ]
    done = run("config", "esp8266", "--out", str(path), *given)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = esp8266.read(str(path))
    assert (config.mqtt_host, config.mqtt_port) == ("127.0.0.1", 1884)
    assert (config.mqtt_user, config.mqtt_password) == ("ann", "pw")
    assert "secret" not in done.output


def test_config_asks_for_what_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    answers = "kitchen\nhome\nsecret\nmqtt://127.0.0.1\n"
    done = CliRunner().invoke(app, ["config", "esp8266", "--out", str(path)], input=answers)
    assert done.exit_code == 0, done.output
    assert esp8266.read(str(path)).wifi_password == "secret"


def test_config_refuses_what_the_board_would(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    given = ["--device", "a b", "--wifi", "home", "--password", "", "--broker", "mqtt://127.0.0.1"]
    done = run("config", "esp8266", "--out", str(path), *given)
    assert done.exit_code != 0
    assert "device holds letters" in done.output
    assert not path.exists()


@pytest.mark.parametrize("model", ["nucleo-f411re", "blackpill-f411"])
def test_config_knows_both_stm32_boards(tmp_path: Path, model: str) -> None:
    path = tmp_path / "c.json"
    assert run("config", "stm32", "--out", str(path), "--model", model).exit_code == 0
    assert stm32.read(str(path)).safe_pin


@pytest.mark.parametrize("board", build.BOARDS)
def test_every_file_builds_within_its_budget(board: build.BoardKind, tmp_path: Path) -> None:
    done = run("build", board, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    print(done.output)  # noqa: T201  # the sizes, for who looks
    built = build.modules(board)
    assert sum(map(len, built.values())) <= build.budget(board).files_bytes
    assert (tmp_path / board / "main.py").exists()
    compiled = {Path(name).stem for name in built}
    assert compiled == {path.stem for path in build.sources(board)} - {"boot", "main"}


def test_flash_says_what_it_would_run(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(RIGHT))
    done = run("flash", "esp8266", "--port", "/dev/ttyUSB9", "--config", str(path), "--image", "mp.bin", "--dry")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "erase-flash" in lines[0]
    assert "write-flash" in lines[1]
    assert any("romfs deploy" in line and line.endswith("firmware.romfs") for line in lines)
    assert any(line.endswith(":boot.py") for line in lines)
    assert lines[-2].endswith(":config.json")
    assert lines[-1].endswith("reset")


def test_flash_looks_at_the_settings_first(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("{}")
    done = run("flash", "esp8266", "--port", "/dev/ttyUSB9", "--config", str(path))
    assert done.exit_code != 0
    assert "device is missing" in done.output


def test_an_unknown_board_is_told_which_there_are() -> None:
    done = run("build", "esp32")
    assert done.exit_code != 0
    assert "stm32 and esp8266" in done.output


@pytest.mark.parametrize("command", ["boards", "monitor"])
def test_without_a_server_here_they_say_what_is_missing(tmp_path: Path, command: str) -> None:
    done = CliRunner().invoke(app, [command], env={"DATA_DIR": str(tmp_path), "MQTT_URL": None})
    assert done.exit_code == 1
    assert f"There is no {tmp_path}/mqtt_url" in done.output
    assert "make run" in done.output


@pytest.mark.parametrize("given", ["esp8266", "esp8266.x", "esp32.x=1", "=1"])
def test_a_change_that_is_none_is_refused(given: str) -> None:
    done = run("boards", "--broker", "mqtt://127.0.0.1:1", "--set", given)
    assert done.exit_code == 2
    assert "is not like" in done.output
