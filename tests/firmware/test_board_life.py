"""A board from switching on: what hangs is ended by its watchdog, what is wrong is told, and what the LED is then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from firmware.board_process import BoardProcess
from firmware.build import BoardKind
from firmware.pulses import frame, text, widths
from tests.parts.ports import free_port

QUICK: Final = {"source": "dht22", "period_ms": 50, "sensor_rest_ms": 0, "stuck_ms": 500, "retry_first_ms": 20}
ESP8266: Final[dict[str, Any]] = {"device": "d", "wifi_name": "w", "mqtt_host": "127.0.0.1"} | QUICK
STM32: Final[dict[str, Any]] = {"period_ms": 50, "sensor_rest_ms": 0, "loop_ms": 5}

#: Put before main.py: until the watchdog has reset the board once, this hangs instead.
A_TASK_SLEEPS: Final = """
from asyncio import sleep_ms
from machine import RTC, reset_cause
from firmware.esp8266 import {module}
async def hang(self):
    while True:
        await sleep_ms(100)
if reset_cause() == 0:
    RTC().memory(b"led ON")
    {module}.{name}.run = hang
"""
A_TASK_SPINS: Final = """
from machine import reset_cause
from firmware.esp8266 import lamps
async def hang(self):
    while True:
        pass
if reset_cause() == 0:
    lamps.Lamps.run = hang
"""
A_TASK_FAILS: Final = """
from machine import reset_cause
from firmware.esp8266 import lamps
async def fail(self):
    raise ValueError("something unheard of")
if reset_cause() == 0:
    lamps.Lamps.run = fail
"""
THE_LOOP_SPINS: Final = """
from machine import reset_cause
from firmware.stm32 import app
def hang(self):
    while True:
        pass
if reset_cause() == 0:
    app.Node.step = hang
"""


class Life:
    """A board that runs until `done` says so, at most 8 s; what happened to it."""

    def __init__(self, kind: BoardKind, directory: Path, config: dict[str, Any], before: str = "") -> None:
        self.said: list[str] = []
        self.pins: list[tuple[str, int]] = []
        #: To which of its starts each of `pins` belongs.
        self.starts: list[int] = []
        self.board = BoardProcess(
            kind,
            directory,
            changed=self._changed,
            said=self.said.append,
            watchdog_s=0.4,
        )
        self.board.install(config)
        main = directory / "main.py"
        main.write_text(before + main.read_text())
        for sensor in ("dht4", "dhtPA8"):
            (directory / sensor).write_text(text(widths(frame(20, 50))))

    def _changed(self, name: str, level: int) -> None:
        self.pins.append((name, level))
        self.starts.append(self.board.starts)

    def levels(self, pin: str, start: int) -> list[int]:
        """What a pin was put to since this start, the first is 1."""
        return [level for (name, level), of in zip(self.pins, self.starts, strict=True) if (name, of) == (pin, start)]

    def live(self, done: Callable[[], bool]) -> None:
        asyncio.run(self._live(done))

    async def _live(self, done: Callable[[], bool]) -> None:
        far = self.board.uart(2)
        running = asyncio.create_task(self.board.run())
        async with asyncio.timeout(8):
            while not done():  # noqa: ASYNC110  # another process brings it about
                await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert far

    @property
    def bitten(self) -> bool:
        return "the watchdog reset this board" in self.said


@pytest.mark.parametrize(
    "before",
    [
        A_TASK_SLEEPS.format(module="lamps", name="Lamps"),
        A_TASK_SLEEPS.format(module="link", name="Link"),
        A_TASK_SLEEPS.format(module="own", name="Own"),
        A_TASK_SPINS,
    ],
    ids=["lamps", "link", "intake", "spinning"],
)
def test_a_task_that_hangs_resets_the_esp8266(tmp_path: Path, before: str) -> None:
    life = Life("esp8266", tmp_path, ESP8266 | {"mqtt_port": free_port()}, before)
    life.live(lambda: life.bitten and life.board.starts == 2 and "broker: nobody takes connections there" in life.said)
    assert (tmp_path / "reset_cause").read_text() == "1"


def test_a_task_that_fails_resets_the_esp8266(tmp_path: Path) -> None:
    life = Life("esp8266", tmp_path, ESP8266 | {"mqtt_port": free_port()}, A_TASK_FAILS)
    life.live(lambda: life.board.starts == 2)
    assert any("something unheard of" in line for line in life.said)
    assert not life.bitten


def test_a_loop_that_hangs_resets_the_stm32(tmp_path: Path) -> None:
    life = Life("stm32", tmp_path, STM32, THE_LOOP_SPINS)
    life.live(lambda: life.bitten and life.board.starts == 2)


@pytest.mark.parametrize(("kept", "levels"), [("off", [0, 0]), ("last", [0, 0, 1])])
def test_after_a_reset_the_led_is_what_the_settings_say(tmp_path: Path, kept: str, levels: list[int]) -> None:
    config = ESP8266 | {"mqtt_port": free_port(), "led_after_reset": kept}
    life = Life("esp8266", tmp_path, config, A_TASK_SLEEPS.format(module="lamps", name="Lamps"))
    life.live(lambda: bool(life.levels("2", start=2)))
    assert life.levels("5", start=2) == levels


def test_with_a_wrong_config_it_says_so_and_shows_its_prompt(tmp_path: Path) -> None:
    life = Life("esp8266", tmp_path, ESP8266 | {"mqtt_host": "broker.local"})
    life.live(lambda: len(life.said) >= 2)
    assert life.said[0].startswith("config.json: mqtt_host must be an address like 192.168.1.10, not broker.local")
    assert "prompt" in life.said[1]


@pytest.mark.parametrize(("kind", "config", "pin"), [("esp8266", ESP8266, "14"), ("stm32", STM32, "PC13")])
def test_the_safe_pin_leads_to_the_prompt(tmp_path: Path, kind: BoardKind, config: dict[str, Any], pin: str) -> None:
    (tmp_path / f"pin{pin}").write_text("0")
    life = Life(kind, tmp_path, config | ({"safe_pin": pin} if kind == "stm32" else {}))
    life.live(lambda: len(life.said) >= 2)
    assert life.said[0].startswith("held back by")
