"""On MicroPython: the board's link and MQTT client, with an outbox that counts. Settings as JSON on stdin.

Publishes payloads of the given `sizes`, prints `got <topic> <size> <retained>` for each message and
`acked <number>` for each PUBACK, and ends once all are acknowledged and `messages` came, or `seconds` have passed. The
last line is `end <acknowledged> <longest gap in ms> <reconnects> <skipped>`.
"""

import json
import sys
import time
from asyncio import create_task, run, sleep_ms

from firmware.esp8266.link import Link
from firmware.esp8266.wifi import Wifi
from firmware.lib.mqtt import Client


class Settings:
    """What Link takes from config.json."""

    wifi_name = "w"
    wifi_password = ""
    wifi_anew_ms = 30_000
    mqtt_host = "127.0.0.1"
    mqtt_user = ""
    mqtt_password = ""
    keep_alive_s = 30
    patience_ms = 1000
    retry_first_ms = 20
    retry_longest_ms = 100
    messages = 0
    no_room_for = ()
    seconds = 10


class Counting:
    """An outbox of payloads of given sizes, each published until it is acknowledged."""

    def __init__(self, settings: Settings) -> None:
        base = settings.root + "/" + settings.device
        self.status_topic = (base + "/status").encode()
        self.acknowledged = self.got = 0
        self._telemetry = (base + "/telemetry").encode()
        self._set = (base + "/+/set").encode()
        self._sizes = settings.sizes
        self._no_room_for = settings.no_room_for
        self._subscribed = False
        self._under_way = False

    def begin(self) -> None:
        self._subscribed = self._under_way = False

    def settle(self) -> None:
        if self._under_way:
            self._under_way = False
            print("acked", self.acknowledged)
            self.acknowledged += 1

    def say(self, client: Client) -> None:
        if not self._subscribed:
            self._subscribed = True
            client.subscribe(self._set)
        elif self.acknowledged < len(self._sizes):
            self._under_way = True
            at = client.begin(self._telemetry)
            end = at + self._sizes[self.acknowledged]
            for place in range(at, end):
                client.out[place] = 0x61 + self.acknowledged % 26
            client.finish(end)

    def received(self, topic: str, payload: memoryview, retained: bool) -> None:
        self.got += 1
        if len(payload) in self._no_room_for:
            raise MemoryError
        print("got", topic, len(payload), int(retained))


async def main() -> None:
    settings = Settings()
    for name, value in json.load(sys.stdin).items():
        setattr(settings, name, value)
    outbox = Counting(settings)
    link = Link(settings, outbox, Wifi(settings), lambda: None)
    create_task(link.run())
    began = before = time.ticks_ms()
    longest = 0
    while time.ticks_diff(before, began) < settings.seconds * 1000:
        if outbox.acknowledged == len(settings.sizes) and outbox.got >= settings.messages:
            break
        await sleep_ms(5)
        now = time.ticks_ms()
        longest = max(longest, time.ticks_diff(now, before) - 5)
        before = now
    print("end", outbox.acknowledged, longest, link.reconnects, link.client.skipped)


run(main())
