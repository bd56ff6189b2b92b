"""On MicroPython: decode what is on stdin, and encode, while nothing can be allocated; print how many were good."""

import sys

import micropython

from firmware.lib.frame import LONGEST, Decoder, encode


def taken(_decoder: Decoder) -> None:
    pass


def main() -> None:
    data = sys.stdin.buffer.read()
    length = len(data)
    decoder = Decoder(taken)
    frame = bytearray(LONGEST)
    micropython.heap_lock()
    decoder.feed(data, length)
    size = encode(frame, 1, 123456, 98765, 16, -1234, 9876)
    micropython.heap_unlock()
    decoder.feed(frame, size)
    print(decoder.good)


main()
