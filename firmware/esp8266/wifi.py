"""The board's WiFi: asked to connect, looked at, and begun anew when it stays away."""

import time

import network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.esp8266.config import Config


class Wifi:
    """`up` begins or keeps up the connection; nothing here waits."""

    def __init__(self, config: "Config") -> None:
        network.WLAN(network.AP_IF).active(False)
        self._station = network.WLAN(network.STA_IF)
        self._name, self._password = config.wifi_name, config.wifi_password
        #: The ESP8266 connects again by itself; when that has not worked for so long, it is switched off and on.
        self._anew_ms = config.wifi_anew_ms
        self._asked = False
        self._since = time.ticks_ms()

    def up(self) -> bool:
        """Whether the board has an address. Asks for a connection, and once in a while anew."""
        if self._station.isconnected():
            self._since = time.ticks_ms()
            return True
        now = time.ticks_ms()
        if not self._asked or time.ticks_diff(now, self._since) > self._anew_ms:
            self._asked = True
            self._since = now
            self._station.active(False)
            self._station.active(True)
            self._station.connect(self._name, self._password)
        return False

    @property
    def connected(self) -> bool:
        """Whether the board has an address."""
        return self._station.isconnected()

    def strength(self) -> int:
        """The signal in dBm, 0 where it is not known."""
        try:
            return self._station.status("rssi")
        except (OSError, ValueError):
            return 0
