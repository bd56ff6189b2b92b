"""What the server asked to be sent again: sequence numbers that never reached it."""

import json

from firmware.lib.ring import Ring


class Resends:
    """One request at a time, answered piece by piece out of the ring; a new one takes its place."""

    def __init__(self, ring: Ring, boot: str) -> None:
        self.boot = ""
        #: What of the request is still to be answered: `first` to `last`; none when `first` is greater.
        self.first, self.last = 0, -1
        self._ring = ring
        self._boot = boot

    @property
    def waiting(self) -> bool:
        """Whether something is to be answered."""
        return self.first <= self.last

    @property
    def gone_to(self) -> int:
        """Up to where what is asked is not held any more, -1 if the next of it is."""
        if self.boot != self._boot:
            return self.last
        return min(self.last, self._ring.first - 1) if self.first < self._ring.first else -1

    def ask(self, payload: memoryview) -> bool:
        """Take a request that came on `resend/set`; whether it was one."""
        try:
            asked = json.loads(payload)  # type: ignore[type-var]  # it takes any buffer, and copies none
        except ValueError:
            return False
        if not isinstance(asked, dict):
            return False
        boot, first, last = asked.get("boot"), asked.get("from"), asked.get("to")
        if not isinstance(boot, str) or len(boot) > 64 or type(first) is not int or type(last) is not int:
            return False
        if not 0 <= first <= last or '"' in boot or "\\" in boot:
            return False
        self.boot, self.first = boot, first
        # What was never acknowledged comes by itself, and what was not yet taken cannot be missing.
        self.last = min(last, self._ring.to_send - 1) if boot == self._boot else last
        return True

    def answered(self, last: int) -> None:
        """Everything up to `last` was answered."""
        self.first = last + 1
