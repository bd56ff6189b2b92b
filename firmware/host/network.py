"""MicroPython's `network` for one WiFi, which is there while no file `wifi_down` stands in the board's directory."""

from outside import read

STA_IF = 0
AP_IF = 1
STAT_IDLE = 0
STAT_CONNECTING = 1
STAT_GOT_IP = 5


class WLAN:
    """A station that is connected from `connect` on, or an access point that does nothing."""

    def __init__(self, kind: int = STA_IF) -> None:
        self._asked = False
        self._active = kind == STA_IF

    def active(self, on: "bool | None" = None) -> bool:
        """Whether it is switched on, or switch it."""
        if on is not None:
            self._active = on
            self._asked = self._asked and on
        return self._active

    def connect(self, _name: "str | None" = None, _password: "str | None" = None) -> None:
        """Begin to connect, and go on by itself."""
        self._asked = True

    def disconnect(self) -> None:
        """End the connection."""
        self._asked = False

    def isconnected(self) -> bool:
        """Whether there is an address."""
        return self._active and self._asked and read("wifi_down") is None

    def status(self, what: "str | None" = None) -> int:
        """How it stands, or how strong the signal is in dBm."""
        if what == "rssi":
            return int(read("rssi") or -61)
        return STAT_GOT_IP if self.isconnected() else STAT_CONNECTING

    def ifconfig(self) -> "tuple[str, str, str, str]":
        """Address, mask, gateway, name server."""
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
