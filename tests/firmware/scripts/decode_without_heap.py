"""On MicroPython: decode what is on stdin while nothing can be allocated; print how many frames were good."""

import sys

import micropython

from firmware.lib.frame import Decoder


def taken(_decoder: Decoder) -> None:
    pass


def main() -> None:
    data = sys.stdin.buffer.read()
    length = len(data)
    decoder = Decoder(taken)
    micropython.heap_lock()
    decoder.feed(data, length)
    micropython.heap_unlock()
    print(decoder.good)


main()
