"""Readings on their way into the ring, from the UART (line.py) or a sensor at this board itself (own.py)."""

import time

from firmware.lib.ring import BY_CLOCK, UNDECIDED, Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.lib.clock import Clock


class Intake:
    """Gives readings the time of their arrival, and counts what went wrong."""

    def __init__(self, ring: Ring, clock: "Clock", silent_ms: int) -> None:
        #: Readings that a sensor could not take, and frames that never came, by their sequence numbers.
        self.faults = self.missed = 0
        self.last_fault = 0
        self._ring = ring
        self._clock = clock
        self._silent_ms = silent_ms
        self._heard = time.ticks_ms()

    @property
    def silent(self) -> bool:
        """Whether nothing has come for too long."""
        return time.ticks_diff(time.ticks_ms(), self._heard) > self._silent_ms

    def take(self, sensor: int, fault: int, temperature: int, humidity: int) -> None:
        """Put a reading into the ring, or count a fault."""
        self._heard = time.ticks_ms()
        self.last_fault = fault
        if fault:
            self.faults += 1
            return
        clock = self._clock
        clock.advance()
        if clock.known:
            clock.to_utc(clock.seconds, clock.ms)
            self._ring.append(clock.utc_seconds, clock.utc_ms, BY_CLOCK, sensor, temperature, humidity)
        else:
            self._ring.append(clock.seconds, clock.ms, UNDECIDED, sensor, temperature, humidity)
