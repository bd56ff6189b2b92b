"""This board's connection: finds WiFi and broker, keeps them, and finds them again."""

import random
import time
from asyncio import sleep_ms

from micropython import const

from firmware.esp8266.lamps import NO_BROKER, NO_WIFI, WELL
from firmware.lib.mqtt import Broken, Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.esp8266.config import Config
    from firmware.esp8266.outbox import Outbox
    from firmware.esp8266.wifi import Wifi

#: A command may have 1.5 KB, ten times what the server's have; what is larger streams past.
_IN_SIZE = const(1664)
_OUT_SIZE = const(640)
_BUSY_MS = const(2)
_IDLE_MS = const(20)
_WIFI_MS = const(100)


class Link:
    """`run` keeps the board connected, for ever. `trouble` says what is missing, for the status LED."""

    def __init__(self, config: "Config", outbox: "Outbox", wifi: "Wifi", sign: "Callable[[], None]") -> None:
        self.trouble = NO_WIFI
        #: How often the connection was made anew.
        self.reconnects = -1
        self.client = Client(
            outbox.received,
            in_size=_IN_SIZE,
            out_size=_OUT_SIZE,
            keep_alive_s=config.keep_alive_s,
            patience_ms=config.patience_ms,
        )
        self._config, self._outbox, self._wifi, self._sign = config, outbox, wifi, sign

    @property
    def refused(self) -> int:
        """Messages on our topics that could not be understood."""
        return self._outbox.refused

    async def run(self) -> None:
        """Connect, talk, connect anew with growing pauses."""
        attempt = 0
        while True:
            began = time.ticks_ms()
            try:
                await self._connect()
                began = time.ticks_ms()
                await self._talk()
            except (Broken, OSError) as error:
                if attempt == 0:
                    print("broker:", error)
            self.client.close()
            self.trouble = NO_BROKER
            if time.ticks_diff(time.ticks_ms(), began) > self._config.retry_longest_ms:
                attempt = 0  # not after a short one: two boards of one name would throw each other out for ever
            await self._rest(self._pause_ms(attempt))
            attempt += 1

    def _pause_ms(self, attempt: int) -> int:
        """Between half and all of a bound that doubles with each attempt: boards of one house do not come at once."""
        bound = min(self._config.retry_longest_ms, self._config.retry_first_ms << min(attempt, 12))
        return bound // 2 + random.getrandbits(10) * (bound // 2) // 1024

    async def _connect(self) -> None:
        while not self._wifi.up():
            self.trouble = NO_WIFI
            await self._breathe(_WIFI_MS)
        self.trouble = NO_BROKER
        config, client = self._config, self.client
        client.open(config.mqtt_host, config.mqtt_port)
        began = time.ticks_ms()
        while not client.writable():
            if time.ticks_diff(time.ticks_ms(), began) > config.patience_ms:
                raise Broken("nobody answers there")
            await self._breathe(_IDLE_MS)
        user, password = config.mqtt_user, config.mqtt_password
        # A login of the board's own holds for this client id alone; boards that share one must differ.
        own = user.split("/")[-1] == config.device
        name = user if own else f"{config.root}-{config.device}".replace("/", "-")
        client.hello(name.encode(), self._outbox.status_topic, b"offline", user.encode(), password.encode())
        while not client.connected:
            client.poll()
            await self._breathe(_IDLE_MS)
        self.reconnects += 1
        self.trouble = WELL
        print("broker: connected")

    async def _talk(self) -> None:
        """Say what there is to say until the connection breaks; that is what it raises."""
        client, outbox = self.client, self._outbox
        outbox.begin()
        while self._wifi.up():
            came = client.poll()
            if client.free:
                outbox.settle()
                outbox.say(client)
            await self._breathe(_BUSY_MS if came or client.awaits else _IDLE_MS)
        raise Broken("the WiFi is gone")

    async def _rest(self, ms: int) -> None:
        """Wait for so long, alive."""
        began = time.ticks_ms()
        while time.ticks_diff(time.ticks_ms(), began) < ms:
            await self._breathe(_IDLE_MS)

    async def _breathe(self, ms: int) -> None:
        self._sign()
        await sleep_ms(ms)
