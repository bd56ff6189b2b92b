"""What this board has to say, one message after another: who it is, its LED, its readings, its figures.

A reading, a report or an answer is forgotten only after its PUBACK; where the connection breaks before, it goes again.
"""

import time

from micropython import const

from firmware.esp8266.messages import Readings, about, put_gone
from firmware.lib.digits import put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.esp8266.config import Config
    from firmware.esp8266.led import Led
    from firmware.esp8266.resends import Resends
    from firmware.lib.clock import Clock
    from firmware.lib.mqtt import Client
    from firmware.lib.ring import Ring

#: Steps of the introduction; then what there is.
_SUBSCRIBE = const(0)
_STATUS = const(1)
_ABOUT = const(2)
_INTRODUCED = const(4)
#: What is under way, to know what its PUBACK means.
_NOTHING = const(0)
_STEP = const(1)
_REPORT = const(2)
_READINGS = const(3)
_RESEND = const(4)


class Outbox:
    """`settle` and `say` are called whenever the client is free, `received` for what comes."""

    def __init__(
        self,
        config: "Config",
        ring: "Ring",
        clock: "Clock",
        led: "Led",
        boot: str,
        put_figures: "Callable[[bytearray, int], int]",
    ) -> None:
        base = f"{config.root}/{config.device}/"
        self.status_topic = f"{base}status".encode()
        #: Messages on our topics that could not be understood.
        self.refused = 0
        self._ring, self._clock, self._led = ring, clock, led
        self._boot = boot
        self._resends: Resends | None = None  # until the server misses something
        self._readings = Readings(ring, clock, boot, config.sensor_names)
        self._put_figures = put_figures
        self._figures_every_ms = config.health_ms
        self._figures_due = time.ticks_ms()
        self._sensor_names = config.sensor_names
        self._led_set, self._resend_set = base + "led/set", base + "resend/set"
        self._set = f"{base}+/set".encode()
        self._about = f"{base}about".encode()
        self._state = f"{base}led/state".encode()
        self._telemetry = f"{base}telemetry".encode()
        self._step = _SUBSCRIBE
        self._under_way = _NOTHING
        self._last = 0

    def begin(self) -> None:
        """A connection was made: introduce the board first."""
        self._step = _SUBSCRIBE
        self._under_way = _NOTHING

    def received(self, topic: str, payload: memoryview, retained: bool) -> None:
        """Obey what came, a command or a request to send again."""
        if retained:
            return  # commands are never retained: it is somebody else's, or very old
        if topic == self._led_set:
            self._led.command(payload)
        elif topic == self._resend_set and not self._asked_again(payload):
            self.refused += 1

    def _asked_again(self, payload: memoryview) -> bool:
        if self._resends is None:
            from firmware.esp8266.resends import Resends  # noqa: PLC0415  # rarely needed, and then it stays

            self._resends = Resends(self._ring, self._boot)
        return self._resends.ask(payload)

    def settle(self) -> None:
        """What was under way is acknowledged."""
        what, self._under_way = self._under_way, _NOTHING
        if what == _STEP:
            self._step += 1
        elif what == _REPORT:
            self._led.told()
        elif what == _READINGS:
            self._ring.acknowledged(self._last)
        elif what == _RESEND and self._resends:
            self._resends.answered(self._last)

    def say(self, client: "Client") -> None:
        """Begin the next message, if there is any. What somebody waits for goes first."""
        if self._step < _INTRODUCED:
            self._under_way = _STEP
            self._introduce(client)
        elif self._led.reports:
            self._under_way = _REPORT
            self._report(client, *self._led.reports[0])
        elif time.ticks_diff(time.ticks_ms(), self._figures_due) >= 0:
            self._figures_due = time.ticks_add(time.ticks_ms(), self._figures_every_ms)
            client.finish(self._put_figures(client.out, client.begin(self._telemetry)))
        elif self._clock.settled and self._ring.waiting:
            self._under_way = _READINGS
            self._send(client, self._ring.to_send, self._ring.next - 1)
        elif self._resends and self._resends.waiting:
            self._under_way = _RESEND
            self._send_again(client, self._resends)

    def _introduce(self, client: "Client") -> None:
        if self._step == _SUBSCRIBE:
            client.subscribe(self._set)
        elif self._step == _STATUS:
            client.finish(put_bytes(client.out, client.begin(self.status_topic), b"online"), True)
        elif self._step == _ABOUT:
            client.finish(put_bytes(client.out, client.begin(self._about), about(self._sensor_names)), True)
        else:
            self._report(client, "", self._led.state)

    def _report(self, client: "Client", command_id: str, state: str) -> None:
        caused = f'"id":"{command_id}",' if command_id else ""
        text = f'{{{caused}"state":"{state}"}}'.encode()
        client.finish(put_bytes(client.out, client.begin(self._state), text), True)

    def _send(self, client: "Client", first: int, last: int) -> None:
        end, self._last = self._readings.put(client.out, client.begin(self._telemetry), first, last)
        client.finish(end)

    def _send_again(self, client: "Client", resends: "Resends") -> None:
        gone_to = resends.gone_to
        if gone_to < 0:
            self._send(client, resends.first, resends.last)
            return
        self._last = gone_to
        at = client.begin(self._telemetry)
        client.finish(put_gone(client.out, at, resends.boot, resends.first, gone_to))
