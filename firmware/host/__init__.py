"""What the boards have and a PC has not, for MicroPython's unix port: pins, UART, watchdog, WiFi, a DHT22's pulses.

MicroPython finds these modules before its own. A board's outside is a directory, named by BOARD in the environment:
`pin<name>` holds an input's level, `dht<name>` a sensor's pulse widths, `wifi_down` stands while there is no WiFi,
`uart<number>` leads to a pseudo-terminal, `unknown_pins` names pins that this board has not, `rtc` is the memory that
survives a reset, `reset_cause` says why it started.
What goes out are lines on stdout that begin with MARK: `pin <name> <level>`, `wdt <ms>`, `fed`, `reset`.
"""
