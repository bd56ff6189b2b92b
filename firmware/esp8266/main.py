"""Runs at each start, after boot.py."""

from firmware.esp8266.app import main

main()
