"""Runs at each start, after boot.py."""

from firmware.stm32.app import main

main()
