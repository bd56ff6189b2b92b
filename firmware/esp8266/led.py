"""The LED: obeys each command once, says what its pin really does, and is what it is after a reset.

After a reset it is off from the first line of boot.py on. With `led_after_reset` "last" it then takes the state it had
before, which stands in the RTC's memory: that survives a reset and the watchdog, but no power cut, after which it stays
off. The server retains no commands; what was asked for while the board was away, the server or the broker's session
for this board brings again, with its id.
"""

import json

from machine import RTC, Pin
from micropython import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.esp8266.config import Config
    from firmware.lib.clock import Clock

_IDS = const(16)
_REPORTS = const(8)
_LONGEST_ID = const(64)


class Led:
    """`command` and `toggle` change it; `reports` holds what is to be told, (id or "", state), oldest first."""

    def __init__(self, config: "Config", clock: "Clock") -> None:
        self.reports: list[tuple[str, str]] = []
        #: Commands that were no commands, or came too late.
        self.refused = 0
        self._clock = clock
        self._on = config.led_on
        self._pin = Pin(config.led_pin, Pin.OUT, value=1 - config.led_on)
        self._ids = [""] * _IDS
        self._next_id = 0
        self._keeps = config.led_after_reset == "last"
        if self._keeps and RTC().memory() == b"led ON":
            self._pin.value(self._on)

    @property
    def state(self) -> str:
        """What the pin does."""
        return "ON" if self._pin.value() == self._on else "OFF"

    def toggle(self) -> None:
        """The button on the board was pressed."""
        self._become("OFF" if self.state == "ON" else "ON", "")

    def command(self, payload: memoryview) -> None:
        """Obey what came on `led/set`. A repeated id is answered with the state as it is, and not obeyed again."""
        try:
            self.obey(json.loads(payload))  # type: ignore[type-var]  # it takes any buffer, and copies none
        except ValueError:
            self.obey({b"ON": "ON", b"OFF": "OFF"}.get(bytes(payload[:4])))

    def obey(self, given: object) -> None:
        """Obey a command that was parsed as JSON: an object, or the bare state."""
        order = _checked(given)
        if order is None:
            self.refused += 1
            return
        state, command_id, expires = order
        if command_id and command_id in self._ids:
            self._tell(command_id)
            return
        if expires and self._too_late(expires):
            self.refused += 1
            return
        if command_id:
            self._ids[self._next_id] = command_id
            self._next_id = (self._next_id + 1) % _IDS
        self._become(state, command_id)

    def told(self) -> None:
        """The broker has the oldest report."""
        del self.reports[0]

    def _become(self, state: str, command_id: str) -> None:
        self._pin.value(self._on if state == "ON" else 1 - self._on)
        if self._keeps:
            RTC().memory(b"led " + state.encode())
        self._tell(command_id)

    def _tell(self, command_id: str) -> None:
        if len(self.reports) == _REPORTS:
            del self.reports[1]  # the oldest may be under way
        self.reports.append((command_id, self.state))

    def _too_late(self, expires: int) -> bool:
        """Whether `expires`, UTC ms, is over. A board that knows no time has to believe that it is not."""
        clock = self._clock
        if not clock.known:
            return False
        clock.advance()
        clock.to_utc(clock.seconds, clock.ms)
        return expires // 1000 < clock.utc_seconds


def _checked(order: object) -> "tuple[str, str, int] | None":
    """State, id and end in UTC ms of a command, "" and 0 where it has none; None if it is no command."""
    if isinstance(order, str):
        order = {"state": order}
    if not isinstance(order, dict):
        return None
    state, command_id, expires = order.get("state"), order.get("id", ""), order.get("expires", 0)
    if state not in ("ON", "OFF") or not isinstance(command_id, str) or len(command_id) > _LONGEST_ID:
        return None
    for letter in command_id:
        if letter < " " or letter in '"\\':  # it goes back as part of a JSON text
            return None
    return state, command_id, expires if isinstance(expires, int) else 0
