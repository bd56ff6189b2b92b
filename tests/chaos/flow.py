"""What devices send while something is broken: many messages, and then a few now and then."""

from __future__ import annotations

import threading

from tests.parts.fleet import Fleet


class Flow:
    """One flow of a fleet. `patience_s`: how long its end is waited for."""

    def __init__(self, fleet: Fleet, patience_s: float) -> None:
        self._fleet, self._patience_s = fleet, patience_s
        self._thread = threading.Thread()
        self._enough = threading.Event()

    def begin(self, messages: int) -> None:
        """Devices publish so many messages, and then a few now and then until `end()`."""

        def flow() -> None:
            self._fleet.publish(messages)
            while not self._enough.wait(0.1):
                self._fleet.publish(5)

        self._thread = threading.Thread(target=flow, name="fleet", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait until the broker has acknowledged all that flows; after that the test may publish by itself."""
        self._enough.set()
        self._thread.join(self._patience_s)
        if self._thread.is_alive():
            self._fleet.give_up()
            raise AssertionError("the broker does not take what devices send")

    def abandon(self) -> None:
        """End the flow, come what may."""
        self._enough.set()
        self._fleet.give_up()
