"""The ESP8266's program: readings in, messages out, commands for the LED, and a watchdog over all of it."""

import gc
import os
import sys
import time
from asyncio import create_task, get_event_loop, run, sleep_ms
from binascii import hexlify

from machine import WDT, Pin, reset, reset_cause
from micropython import const

from firmware.esp8266.intake import Intake
from firmware.esp8266.lamps import NO_FRAMES, SENSOR_FAULT, WELL, Lamps
from firmware.esp8266.led import Led
from firmware.esp8266.messages import put_figures
from firmware.esp8266.wifi import Wifi
from firmware.lib.alive import Alive
from firmware.lib.clock import Clock
from firmware.lib.ring import Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.esp8266.config import Config
    from firmware.esp8266.http_link import HttpLink
    from firmware.esp8266.line import Line
    from firmware.esp8266.link import Link
    from firmware.esp8266.own import Own

_INTAKE = const(0)
_LINK = const(1)
_LAMPS = const(2)
_GUARD_MS = const(50)
_COLLECT_MS = const(5000)
_TIME_MS = const(1500)
#: After a time server did not answer, the next try comes after so long.
_TIME_AGAIN_MS = const(30_000)


class Board:
    """All the parts, made once, and the tasks that drive them."""

    def __init__(self, config: "Config") -> None:
        self._config = config
        self._clock = Clock()
        self._clock.settled = not config.time_host
        self._led = Led(config, self._clock)
        self._ring = Ring(config.readings_kept)
        self._intake = Intake(self._ring, self._clock, config.silent_ms)
        self._alive = Alive(3, config.stuck_ms)
        self._wifi = Wifi(config)
        self._link = self._make_link(hexlify(os.urandom(4)).decode())
        self._lamps = Lamps(config, self._led, self._trouble, lambda: self._alive.sign(_LAMPS))
        self._source = self._make_source()
        self._longest_gap = 0

    def _make_source(self) -> "Line | Own":
        config = self._config
        # What is not used is not loaded: there is no room for it.
        if config.source == "uart":
            from firmware.esp8266.line import Line  # noqa: PLC0415

            return Line(config, self._intake, lambda: self._alive.sign(_INTAKE))
        from firmware.esp8266.own import Own  # noqa: PLC0415

        return Own(config, self._intake, lambda: self._alive.sign(_INTAKE))

    def _make_link(self, boot: str) -> "Link | HttpLink":
        config = self._config
        if config.protocol == "http":
            from firmware.esp8266.http_link import HttpLink  # noqa: PLC0415
            from firmware.esp8266.messages import Readings  # noqa: PLC0415

            readings = Readings(self._ring, self._clock, boot, config.sensor_names)
            parts = (self._ring, self._clock, self._led, self._wifi)
            return HttpLink(config, readings, parts, self._put_figures, lambda: self._alive.sign(_LINK))
        from firmware.esp8266.link import Link  # noqa: PLC0415
        from firmware.esp8266.outbox import Outbox  # noqa: PLC0415

        outbox = Outbox(config, self._ring, self._clock, self._led, boot, self._put_figures)
        return Link(config, outbox, self._wifi, lambda: self._alive.sign(_LINK))

    async def run(self) -> None:
        """Live until the watchdog ends it."""
        create_task(self._link.run())
        create_task(self._lamps.run())
        create_task(self._source.run())
        if self._config.time_host:
            create_task(self._keep_time())
        await self._guard(WDT())

    async def _guard(self, watchdog: WDT) -> None:
        """Feed the watchdog while all tasks run; measure how long the loop was held up; keep the heap tidy."""
        collected = before = time.ticks_ms()
        said = False
        while True:
            await sleep_ms(_GUARD_MS)
            now = time.ticks_ms()
            self._longest_gap = max(self._longest_gap, time.ticks_diff(now, before) - _GUARD_MS)
            self._clock.advance()
            stuck = self._alive.stuck()
            if stuck < 0:
                watchdog.feed()
            elif not said:
                said = True
                print("task", stuck, "hangs, the watchdog will reset this board")
            before = time.ticks_ms()
            if time.ticks_diff(now, collected) > _COLLECT_MS:
                gc.collect()
                collected = before = time.ticks_ms()

    async def _keep_time(self) -> None:
        from firmware.lib.sntp import ask  # noqa: PLC0415  # as above

        config = self._config
        while True:
            pause = _TIME_AGAIN_MS
            if self._wifi.connected:
                try:
                    found = await ask(config.time_host, config.time_port, _TIME_MS)
                except OSError:
                    found = None
                if found:
                    self._clock.set(*found)
                    pause = config.time_every_ms
                self._clock.settled = True
            else:
                pause = 200
            await sleep_ms(min(pause, config.time_every_ms))

    def _trouble(self) -> int:
        """What the status LED shows."""
        if self._link.trouble != WELL:
            return self._link.trouble
        if self._intake.silent:
            return NO_FRAMES
        return SENSOR_FAULT if self._intake.last_fault else WELL

    def _put_figures(self, buffer: bytearray, at: int) -> int:
        gc.collect()
        link, intake = self._link, self._intake
        waiting = self._ring.waiting
        figures = [
            (b"free_heap", gc.mem_free()),
            (b"rssi", self._wifi.strength()),
            (b"uptime", self._clock.seconds),
            (b"reset_cause", reset_cause()),
            (b"reconnects", link.reconnects),
            (b"waiting", waiting),
            (b"lost", self._ring.lost),
            (b"frames", self._source.frames),
            (b"bad_frames", self._source.bad_frames),
            (b"missed_frames", intake.missed),
            (b"sensor_faults", intake.faults),
            (b"refused", link.refused + self._led.refused + link.client.skipped),
            (b"longest_gap", self._longest_gap),
        ]
        self._longest_gap = 0
        return put_figures(buffer, at, self._clock, figures)


def _ended(_loop: object, context: "dict[str, object]") -> None:
    """A task ended, which none ever should: begin anew."""
    print("a task failed:", repr(context["exception"]))
    reset()


def _settings() -> "Config | None":
    """The settings; None if they are wrong, which is told. What reads them leaves its place to the rest."""
    from firmware.esp8266 import config as reader  # noqa: PLC0415
    from firmware.lib.checks import ConfigError  # noqa: PLC0415

    try:
        return reader.read("config.json")
    except ConfigError as error:
        print("config.json:", error)
        return None
    finally:
        for package, name in (("firmware.esp8266", "config"), ("firmware.lib", "checks")):
            del sys.modules[package + "." + name]
            delattr(sys.modules[package], name)


def main() -> None:
    """Run for ever; with a wrong config.json, or while the pin that prevents it is held low, return to the REPL."""
    config = _settings()
    if config is None:
        return
    if not Pin(config.safe_pin, Pin.IN, Pin.PULL_UP).value():
        print("held back by GPIO", config.safe_pin)
        return
    if config.source == "uart":
        os.dupterm(None, 1)  # the REPL leaves the UART to the STM32
    gc.collect()
    get_event_loop().set_exception_handler(_ended)
    run(Board(config).run())
