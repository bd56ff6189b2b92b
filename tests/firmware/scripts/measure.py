"""On MicroPython: a DHT22 read once for each line of pulse widths on stdin; print the fault and both values."""

import sys

from machine import Pin
from outside import path

from firmware.lib.dht22 import Sensor


def main() -> None:
    sensor = Sensor(Pin("PA8"))
    for line in sys.stdin:
        with open(path("dhtPA8"), "w") as file:
            file.write(line)
        print(sensor.measure(), sensor.temperature, sensor.humidity)


main()
