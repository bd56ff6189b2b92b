"""Both boards on this PC: an STM32 that measures, an ESP8266 that publishes, a wire between them, and a hand on it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from firmware import pulses
from firmware.board_process import BoardProcess
from firmware.climate import NAMED_PLACES, reading_at
from firmware.link import BrokerAddress

LED_PIN: Final = "5"
BUTTON_PIN: Final = 0
SENSOR_PIN: Final = "PA8"
OWN_SENSOR_PIN: Final = "4"
_PRESS_S: Final = 0.2
_WEATHER_EVERY_S: Final = 1.0
#: What an ESP8266's boot loader says on its TX pin at 74,880 baud looks like this at another rate.
_BOOT_NOISE: Final = bytes(range(0x80, 0xFF, 3)) + b"\r\n rl\x00l\x9c\xfe~\x1b~1,2\x00"


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What to run. `directory` gets a folder a board; `stm32` and `esp8266` are added to the boards' config.json.

    With `weather` the sensor measures a simulated climate; without, the files `dht…` are left to somebody else.
    """

    address: BrokerAddress
    directory: Path
    device: str = "breadboard"
    root: str = "iot"
    weather: bool = True
    dht_ms: int = 0
    stm32: Mapping[str, Any] = field(default_factory=dict)
    esp8266: Mapping[str, Any] = field(default_factory=dict)


class Pair:
    """Runs both boards until cancelled. `say` is called with who and what, for each thing that happens."""

    def __init__(self, settings: PairSettings, say: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._say = say
        self._random = Random()  # noqa: S311  # noise on a temperature is no secret
        self.unplugged = False
        own = settings.esp8266.get("source") == "dht22"
        self._esp8266 = BoardProcess(
            "esp8266",
            settings.directory / "esp8266",
            changed=self._pin_changed,
            said=lambda line: say("esp8266", line),
            powered=self._boot_noise,
            dht_ms=settings.dht_ms,
        )
        self._stm32 = None
        if not own:
            self._stm32 = BoardProcess(
                "stm32",
                settings.directory / "stm32",
                changed=lambda _name, _level: None,
                said=lambda line: say("stm32", line),
                dht_ms=settings.dht_ms,
            )
        self._sensor = (
            self._esp8266.directory / f"dht{OWN_SENSOR_PIN}"
            if self._stm32 is None
            else self._stm32.directory / f"dht{SENSOR_PIN}"
        )
        self._ends: tuple[int, int] | None = None

    async def run(self) -> None:
        """Flash both boards and give them power. Raises BuildError, and OSError where the broker's name is unknown."""
        settings = self._settings
        host = await asyncio.get_running_loop().run_in_executor(None, socket.gethostbyname, settings.address.host)
        self._esp8266.install(
            {
                "device": settings.device,
                "root": settings.root,
                "wifi_name": "simulated",
                "mqtt_host": host,
                "mqtt_port": settings.address.port,
                "mqtt_user": settings.address.username or "",
                "mqtt_password": settings.address.password or "",
                **settings.esp8266,
            }
        )
        if self._stm32 is not None:
            self._stm32.install(settings.stm32)
        async with asyncio.TaskGroup() as group:
            if self._stm32 is not None:
                self._ends = (self._stm32.uart(2), self._esp8266.uart(0))
                self._connect(*self._ends)
                group.create_task(self._stm32.run())
            group.create_task(self._esp8266.run())
            if settings.weather:
                group.create_task(self._weather())
            await asyncio.Event().wait()

    # What a hand does.

    def press(self) -> None:
        """Press the button on the ESP8266's board, for a moment."""
        pin = self._esp8266.directory / f"pin{BUTTON_PIN}"
        pin.write_text("0")
        asyncio.get_running_loop().call_later(_PRESS_S, lambda: pin.unlink(missing_ok=True))

    def pull_plug(self) -> None:
        """Take the wire between the boards out, or put it back."""
        self.unplugged = not self.unplugged
        self._say("wire", "pulled out" if self.unplugged else "back")

    def switch_wifi(self) -> None:
        """Switch the WiFi off, or on again."""
        flag = self._esp8266.directory / "wifi_down"
        down = not flag.exists()
        flag.touch() if down else flag.unlink()
        self._say("wifi", "off" if down else "on")

    def cut_power(self) -> None:
        """Take the ESP8266's power away, and give it back."""
        self._esp8266.kill()

    # The wire, and what is around.

    def _connect(self, stm32: int, esp8266: int) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(stm32, self._pass_on, stm32, esp8266)
        loop.add_reader(esp8266, self._pass_on, esp8266, stm32)

    def _pass_on(self, source: int, target: int) -> None:
        try:
            data = os.read(source, 4096)
        except OSError:
            # While a board has no power nobody holds the near end; it is readable all the time then.
            loop = asyncio.get_running_loop()
            loop.remove_reader(source)
            loop.call_later(0.05, loop.add_reader, source, self._pass_on, source, target)
            return
        if not self.unplugged and not (self._settings.directory / "unplugged").exists():
            with suppress(OSError):  # a wire whose other end is dead takes everything
                os.write(target, data)

    def _boot_noise(self) -> None:
        if self._ends is not None:
            with suppress(OSError):
                os.write(self._ends[0], _BOOT_NOISE)

    def _pin_changed(self, name: str, level: int) -> None:
        if name == LED_PIN:
            self._say("LED", "on" if level else "off")

    async def _weather(self) -> None:
        place = NAMED_PLACES[0]
        while True:
            reading = reading_at(place, time.time_ns() // 1_000_000, self._random)
            measured = pulses.widths(pulses.frame(reading.temperature, reading.humidity), self._random, 8)
            put_pulses(self._sensor, measured)
            await asyncio.sleep(_WEATHER_EVERY_S)


def put_pulses(sensor: Path, measured: list[int]) -> None:
    """Let a simulated sensor send these pulses from its next reading on: whole, never half written."""
    sensor.parent.mkdir(parents=True, exist_ok=True)
    fresh = sensor.with_suffix(".fresh")
    fresh.write_text(pulses.text(measured))
    fresh.replace(sensor)


def run(settings: PairSettings) -> None:
    """Run both boards until SIGINT or SIGTERM, telling on the terminal what happens. Raises BuildError, OSError."""
    with suppress(asyncio.CancelledError):
        asyncio.run(_run(settings))


async def _run(settings: PairSettings) -> None:
    pair = Pair(settings, _tell)
    running = asyncio.create_task(pair.run())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, running.cancel)
    with _keys(pair, running.cancel):
        await running


def _tell(who: str, what: str) -> None:
    sign = {"on": "●", "off": "○"}.get(what, " ") if who == "LED" else " "
    print(f"{time.strftime('%H:%M:%S')}  {who:8} {sign} {what}", flush=True)


@contextmanager
def _keys(pair: Pair, end: Callable[[], object]) -> Iterator[None]:
    """While it lasts, single keys are what a hand does to the boards, if stdin is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    actions: dict[str, Callable[[], object]] = {
        "b": pair.press,
        "u": pair.pull_plug,
        "w": pair.switch_wifi,
        "k": pair.cut_power,
        "q": end,
    }
    print("Keys: b button, u unplug the wire, w WiFi off, k cut the ESP8266's power, q quit.", flush=True)

    def pressed() -> None:
        actions.get(os.read(0, 1).decode(errors="replace").lower(), lambda: None)()

    before = termios.tcgetattr(0)
    tty.setcbreak(0)
    asyncio.get_running_loop().add_reader(0, pressed)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_reader(0)
        termios.tcsetattr(0, termios.TCSADRAIN, before)
