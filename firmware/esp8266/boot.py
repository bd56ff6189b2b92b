"""Runs first at each start: the LED's pin is off before anything else can go wrong."""

from machine import Pin

# D1 on NodeMCU and Wemos D1, led_pin's default. Another pin is put out as soon as config.json has named it.
Pin(5, Pin.OUT, value=0)
