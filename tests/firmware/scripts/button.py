"""On MicroPython: what the button does at levels given as 0 and 1 in argv[1], one at each look; prints the presses."""

import sys

from outside import path

from firmware.esp8266.lamps import Lamps


class Settings:
    """What Lamps takes from config.json."""

    button_pin = 0
    status_pin = 2
    status_on = 0


class Counting:
    """An LED that counts."""

    toggled = 0

    def toggle(self) -> None:
        self.toggled += 1


def main() -> None:
    led = Counting()
    lamps = Lamps(Settings(), led, lambda: 0, lambda: None)
    for level in sys.argv[1]:
        with open(path("pin0"), "w") as file:
            file.write(level)
        lamps.look()
    print(led.toggled)


main()
