"""Both boards on this PC, as `make boards` runs them, with settings so small that nothing takes long."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, Self

from firmware import pulses
from firmware.boards import BUTTON_PIN, OWN_SENSOR_PIN, SENSOR_PIN, put_pulses
from tests.parts.eventually import eventually
from tests.parts.process import Process

_ROOT: Final = Path(__file__).parents[2]
DEVICE: Final = "breadboard"
STM32: Final = {"period_ms": 50, "sensor_rest_ms": 0, "loop_ms": 5}
ESP8266: Final = {"patience_ms": 500, "retry_first_ms": 20, "retry_longest_ms": 200, "keep_alive_s": 2}


class Boards:
    """The pair against a broker, usable as a context manager. What is in `stm32` and `esp8266` goes into config.json.

    Without `url` they look into `data_dir` for the broker of a server. The sensor measures nothing until `measure`.
    """

    def __init__(
        self,
        directory: Path,
        url: str | None,
        root: str,
        *,
        data_dir: Path | None = None,
        device: str = DEVICE,
        stm32: Mapping[str, Any] | None = None,
        esp8266: Mapping[str, Any] | None = None,
    ) -> None:
        self.directory = directory
        self._random = Random(1)  # noqa: S311  # noise on a pulse is no secret
        self._own = (esp8266 or {}).get("source") == "dht22"
        given = [("stm32", STM32 | dict(stm32 or {})), ("esp8266", ESP8266 | dict(esp8266 or {}))]
        changes = [f"{board}.{name}={json.dumps(value)}" for board, all_ in given for name, value in all_.items()]
        command = [sys.executable, "-m", "firmware", "boards", "--root", root, "--device", device]
        command += [
            "--directory",
            str(directory),
            "--no-weather",
            "--set",
            "pc.dht_ms=0",
            *(["--broker", url] if url else []),
        ]
        command += [word for change in changes for word in ("--set", change)]
        environment = {name: value for name, value in os.environ.items() if name != "MQTT_URL"}
        environment |= {"DATA_DIR": str(data_dir)} if data_dir else {}
        log = directory / "boards.log"
        self.process = Process(command, log=log, directory=_ROOT, environment=environment)

    def measure(self, temperature: float, humidity: float, *, sensor: str | None = None) -> None:
        """From the sensor's next reading on it measures this, with some jitter."""
        self.pulses(pulses.widths(pulses.frame(temperature, humidity), self._random, 10), sensor=sensor)

    def pulses(self, widths: list[int], *, sensor: str | None = None) -> None:
        """From the sensor's next reading on its pin carries these pulses."""
        own = ("esp8266", OWN_SENSOR_PIN)
        board, pin = own if self._own else ("stm32", sensor or SENSOR_PIN)
        put_pulses(self.directory / board / f"dht{pin}", widths)

    def press(self) -> None:
        """Hold the button down."""
        (self.directory / "esp8266" / f"pin{BUTTON_PIN}").write_text("0")

    def release(self) -> None:
        """Let the button go."""
        (self.directory / "esp8266" / f"pin{BUTTON_PIN}").unlink()

    def pull_plug(self) -> None:
        """Take the wire between the boards out."""
        (self.directory / "unplugged").touch()

    def plug_in(self) -> None:
        """Put the wire back."""
        (self.directory / "unplugged").unlink()

    def wifi(self, *, on: bool) -> None:
        """Switch the WiFi off or on."""
        flag = self.directory / "esp8266" / "wifi_down"
        flag.unlink() if on else flag.touch()

    def cut_power(self, board: str = "esp8266") -> None:
        """Take a board's power away; it comes back by itself."""
        os.kill(int((self.directory / board / "pid").read_text()), signal.SIGKILL)

    @property
    def led(self) -> str | None:
        """What the LED's pin last became: on, off, or None before any power."""
        told = [line.split()[-1] for line in self.process.output().splitlines() if " LED " in line]
        return told[-1] if told else None

    def connections(self) -> int:
        """How often the ESP8266 has connected to its broker."""
        return self.process.output().count("broker: connected")

    def __enter__(self) -> Self:
        self.process.start()
        eventually(lambda: self.process.output().count("The boards") == 1 or not self.process.running)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            self.process.stop()
