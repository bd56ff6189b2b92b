"""One simulated device: takes readings, sends them, sends them again when asked, obeys its LED's commands."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from firmware import messages
from firmware.climate import Place, reading_at
from firmware.led import Led
from firmware.link import BrokerAddress, Crowd, Link, Patience, Will
from firmware.messages import Sample
from firmware.sample_ring import SampleRing

logger = logging.getLogger("simulator")

FIRMWARE = "1.0.0"
WINDOW = 20  # telemetry messages under way at once
BACKLOG_SIZE = 100  # samples in one answer to a resend request
RESEND_LIMIT = 100  # unacknowledged messages above which a resend request is not answered
SYNC_EVERY_MS = 3_600_000
CLOSE_S = 0.7


@dataclass(frozen=True, slots=True)
class Clock:
    """A board's clock: wrong by `offset_ms`, running away by `drift_ppm` until the next hourly synchronisation."""

    offset_ms: int = 0
    drift_ppm: float = 0.0
    started_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def now_ms(self) -> int:
        """What this clock takes for UTC, in ms."""
        true_ms = time.time_ns() // 1_000_000
        return true_ms + self.offset_ms + round((true_ms - self.started_ms) % SYNC_EVERY_MS * self.drift_ppm / 1e6)


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What makes one device: where it is, how often it measures, what it bears. Times in seconds."""

    address: BrokerAddress
    root: str
    place: Place
    clock: Clock
    period_s: float
    phase_s: float
    led_delay_s: tuple[float, float]
    ring_capacity: int
    patience: Patience


class Tally:
    """Counts the telemetry of all devices. With a `limit`, no more readings are taken than that.

    `complete` is called once when each of them was acknowledged or lost.
    """

    def __init__(self, limit: int | None, complete: Callable[[], None]) -> None:
        self.taken = self.sent = self.acknowledged = self.lost = 0
        self._limit = limit
        self._complete = complete

    def take(self) -> bool:
        """Whether one more reading may be taken; counts it if so."""
        if self._limit is not None and self.taken >= self._limit:
            return False
        self.taken += 1
        return True

    def settle(self, *, acknowledged: int = 0, lost: int = 0) -> None:
        """Count readings that the broker has, and readings that left the ring unsent."""
        self.acknowledged += acknowledged
        self.lost += lost
        if self._limit is not None and self.acknowledged + self.lost >= self._limit:
            self._complete()


class Device:
    """A device from switching on: a new boot, `seq` from 0. `run` is its life, `close` its orderly end."""

    def __init__(self, settings: DeviceSettings, tally: Tally, crowd: Crowd, random: Random) -> None:
        self._settings = settings
        self._tally = tally
        self._random = random
        self._boot = secrets.token_hex(4)
        self._ring = SampleRing(settings.ring_capacity)
        self._to_send = 0
        self._under_way: set[int] = set()
        self._last_ts = 0
        self._led = Led(settings.clock.now_ms, settings.led_delay_s, random, self._report_led)
        # A login of the device's own holds for this client id alone; devices that share one must differ.
        user = settings.address.username
        own = user is not None and user.split("/")[-1] == self.name
        client_id = user if user is not None and own else f"sim-{settings.root.replace('/', '-')}-{self.name}"
        will = Will(self._topic(messages.STATUS), messages.OFFLINE)
        self._link = Link(settings.address, client_id, will, self, crowd, settings.patience, random)

    @property
    def name(self) -> str:
        """The device's name, a level of its topics."""
        return self._settings.place.name

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run(), name=f"{self.name} link")
            group.create_task(self._take_readings(), name=f"{self.name} readings")
            group.create_task(self._led.obey(), name=f"{self.name} led")

    async def close(self) -> None:
        """Say goodbye, wait for what is still unacknowledged, disconnect; in CLOSE_S at most. After `run` ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                if self._link.up:
                    self._link.publish(self._topic(messages.STATUS), messages.OFFLINE, retain=True)
                    await self._link.settled()
                    await self._link.close()
        self._link.drop()

    async def _take_readings(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._settings.phase_s
        while self._tally.take():
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._take_reading()
            # A loop that is too slow for its rate catches up on one second, not on everything.
            due = max(due + self._settings.period_s, loop.time() - 1.0)

    def _take_reading(self) -> None:
        # Readings of one device never share a ms, and its time never runs back.
        self._last_ts = max(self._settings.clock.now_ms(), self._last_ts + 1)
        reading = reading_at(self._settings.place, self._last_ts, self._random)
        self._ring.append(Sample(self._last_ts, self._ring.next, self._boot, reading.temperature, reading.humidity))
        self._send_waiting()

    def _send_waiting(self) -> None:
        if self._to_send < self._ring.first:
            self._tally.settle(lost=self._ring.first - self._to_send)
            self._to_send = self._ring.first
        while self._link.up and len(self._under_way) < WINDOW and self._to_send < self._ring.next:
            (sample,) = self._ring.between(self._to_send, self._to_send)
            self._under_way.add(self._link.publish(self._topic(messages.TELEMETRY), messages.encode_sample(sample)))
            self._to_send += 1
            self._tally.sent += 1

    # What the link tells.

    def connected(self) -> None:
        """Introduce the device: subscriptions, then what is retained, then what has waited."""
        self._link.subscribe([self._topic(messages.LED_SET), self._topic(messages.RESEND_SET)])
        self._link.publish(self._topic(messages.STATUS), messages.ONLINE, retain=True)
        self._link.publish(self._topic(messages.ABOUT), messages.encode_about(FIRMWARE), retain=True)
        self._report_led()
        self._send_waiting()

    def acknowledged(self, packet_id: int) -> None:
        """The broker has a message; if it was a reading, another may go."""
        if packet_id in self._under_way:
            self._under_way.remove(packet_id)
            self._tally.settle(acknowledged=1)
            self._send_waiting()

    def received(self, topic: str, payload: bytes, retained: bool) -> None:
        """Obey a command or a resend request. What can't be understood is logged and ignored."""
        if retained:
            logger.info("%s: a retained message on %s is a command of old, ignored", self.name, topic)
            return
        try:
            if topic == self._topic(messages.LED_SET):
                self._led.ask(messages.decode_led_command(payload))
            elif topic == self._topic(messages.RESEND_SET):
                self._send_again(messages.decode_resend_request(payload))
        except ValueError as error:
            logger.warning("%s: ignored a message on %s: %s", self.name, topic, error)

    def _send_again(self, request: messages.ResendRequest) -> None:
        if self._link.unacknowledged > RESEND_LIMIT:
            logger.warning("%s: a resend request is ignored, too much is under way", self.name)
            return
        telemetry = self._topic(messages.TELEMETRY)
        first_held = self._ring.first if str(request.boot) == self._boot else math.inf
        if request.first < first_held:
            gone_to = int(min(request.last, first_held - 1))
            self._link.publish(telemetry, messages.encode_gone(request.boot, request.first, gone_to))
        if request.last < first_held:
            return
        samples = self._ring.between(request.first, min(request.last, self._to_send - 1))
        for start in range(0, len(samples), BACKLOG_SIZE):
            self._link.publish(telemetry, messages.encode_backlog(samples[start : start + BACKLOG_SIZE]))

    def _report_led(self) -> None:
        if self._link.up:  # else it is reported on connecting
            state = messages.encode_led_state(self._led.state, self._led.caused_by)
            self._link.publish(self._topic(messages.LED_STATE), state, retain=True)

    def _topic(self, name: str) -> str:
        return f"{self._settings.root}/{self.name}/{name}"
