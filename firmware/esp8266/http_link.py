"""This board's connection where there is no MQTT: it posts what waits, and polls for commands.

One request after another on one connection. While nothing waits, a poll stands open for a moment: so commands come at
once, and a reading waits for `poll_wait_s` at most. A reading is forgotten only after the server's 202, or an answer
after which the same again would be useless.
"""

import json
import random
import time
from asyncio import sleep_ms

from micropython import const

from firmware.esp8266.lamps import NO_BROKER, NO_WIFI, WELL
from firmware.esp8266.messages import Readings
from firmware.lib.digits import put_bytes
from firmware.lib.http import Broken, Http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.esp8266.config import Config
    from firmware.esp8266.led import Led
    from firmware.esp8266.wifi import Wifi
    from firmware.lib.clock import Clock
    from firmware.lib.ring import Ring

_IN_SIZE = const(1664)
_OUT_SIZE = const(896)
_BUSY_MS = const(5)
_IDLE_MS = const(20)
_WIFI_MS = const(100)
_SLOWER_S = const(60)
#: Answers after which the same is to be sent again.
_AGAIN = (401, 403, 408, 413, 429, 500, 502, 503, 504)


class HttpLink:
    """`run` keeps reporting, for ever. `trouble` says what is missing, for the status LED."""

    def __init__(
        self,
        config: "Config",
        readings: Readings,
        parts: "tuple[Ring, Clock, Led, Wifi]",
        put_figures: "Callable[[bytearray, int], int]",
        sign: "Callable[[], None]",
    ) -> None:
        self.trouble = NO_WIFI
        self.reconnects = -1
        #: Answers that said no, once and for all.
        self.refused = 0
        self.client = Http(
            config.http_host, config.token, in_size=_IN_SIZE, out_size=_OUT_SIZE, patience_ms=config.patience_ms
        )
        self._config = config
        self._ring, self._clock, self._led, self._wifi = parts
        self._readings = readings
        self._put_figures = put_figures
        self._sign = sign
        self._figures_due = time.ticks_ms()
        self._introduced = False

    async def run(self) -> None:
        """Report, poll, connect anew with growing pauses."""
        attempt = 0
        while True:
            try:
                await self._connect()
                while self._wifi.up():
                    self._accept(await self._ask())
                    attempt = 0
            except (Broken, OSError) as error:
                if attempt == 0:
                    print("server:", error)
            self.client.close()
            self.trouble = NO_BROKER
            bound = min(self._config.retry_longest_ms, self._config.retry_first_ms << min(attempt, 12))
            await self._rest(bound // 2 + random.getrandbits(10) * (bound // 2) // 1024)
            attempt += 1

    async def _connect(self) -> None:
        while not self._wifi.up():
            self.trouble = NO_WIFI
            await self._breathe(_WIFI_MS)
        client, config = self.client, self._config
        client.connect(config.http_host, config.http_port)
        began = time.ticks_ms()
        while not client.writable():
            if time.ticks_diff(time.ticks_ms(), began) > config.patience_ms:
                raise Broken("nobody answers there")
            await self._breathe(_IDLE_MS)
        self.reconnects += 1
        self.trouble = WELL
        print("server: connected")

    async def _ask(self) -> int:
        """Send what is next and wait for the answer; its status."""
        client = self.client
        if not client.open:
            await self._connect()
        self._what, self._last = self._begin()
        while True:
            status = client.poll()
            if status:
                break
            await self._breathe(_BUSY_MS)
        if status in _AGAIN:
            self.refused += 1
            if client.retry_after or status in (401, 403):
                await self._rest(min(client.retry_after or _SLOWER_S, _SLOWER_S) * 1000)
            else:
                await self._rest(self._config.retry_first_ms)
            return 0
        return status

    def _begin(self) -> "tuple[str, int]":
        """Send the next request: what it is, and the last reading in it."""
        client = self.client
        if self._led.reports or not self._introduced:
            command_id, state = self._led.reports[0] if self._led.reports else ("", self._led.state)
            at = client.begin(b"POST /api/led_status/")
            caused = f'"id":"{command_id}",' if command_id else ""
            text = f'{{{caused}"led":"led","state":"{state}"}}'.encode()
            client.finish(at, put_bytes(client.out, at, text))
            return "report" if self._led.reports else "introduction", 0
        if time.ticks_diff(time.ticks_ms(), self._figures_due) >= 0:
            self._figures_due = time.ticks_add(time.ticks_ms(), self._config.health_ms)
            at = client.begin(b"POST /api/dht22_db/")
            client.finish(at, self._put_figures(client.out, at))
            return "figures", 0
        if self._clock.settled and self._ring.waiting:
            at = client.begin(b"POST /api/dht22_db/")
            end, last = self._readings.put(client.out, at, self._ring.to_send, self._ring.next - 1)
            client.finish(at, end)
            return "readings", last
        wait_s = self._config.poll_wait_s
        at = client.begin(f"GET /api/led_control/?wait={wait_s}".encode())
        client.finish(at, at, wait_s * 1000)
        return "poll", 0

    def _accept(self, status: int) -> None:
        """What the answer means for what was sent; 0: nothing, it goes again."""
        if not status:
            return
        if status >= 300:
            self.refused += 1
        if self._what == "readings":
            self._ring.acknowledged(self._last)
        elif self._what == "report":
            self._led.told()
        elif self._what == "introduction":
            self._introduced = True
        elif self._what == "poll" and status == 200:
            self._obey()

    def _obey(self) -> None:
        try:
            commands = json.loads(self.client.body)  # type: ignore[type-var]  # it takes any buffer, and copies none
        except (ValueError, MemoryError):
            self.refused += 1
            return
        for command in commands if isinstance(commands, list) else ():
            if isinstance(command, dict) and command.get("led") == "led":
                self._led.obey(command)

    async def _rest(self, ms: int) -> None:
        began = time.ticks_ms()
        while time.ticks_diff(time.ticks_ms(), began) < ms:
            await self._breathe(_IDLE_MS)

    async def _breathe(self, ms: int) -> None:
        self._sign()
        await sleep_ms(ms)
