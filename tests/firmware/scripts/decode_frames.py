"""On MicroPython: decode what comes on stdin in pieces of argv[1] bytes; print the frames, then the counts."""

import sys

from firmware.lib.frame import Decoder

FOUND = []


def taken(decoder: Decoder) -> None:
    FOUND.append((decoder.sensor, decoder.seq, decoder.uptime, decoder.flags, decoder.temperature, decoder.humidity))


def main() -> None:
    size = int(sys.argv[1])
    decoder = Decoder(taken)
    buffer = bytearray(size)
    while True:
        length = sys.stdin.buffer.readinto(buffer)
        if not length:
            break
        decoder.feed(buffer, length)
        for frame in FOUND:
            print(*frame)
        FOUND.clear()
    print("counts", decoder.good, decoder.bad, decoder.noise)


main()
