"""On MicroPython: print the frame of each line of six numbers on stdin."""

import sys

from firmware.lib.frame import LONGEST, encode


def main() -> None:
    buffer = bytearray(LONGEST)
    for line in sys.stdin:
        length = encode(buffer, *[int(field) for field in line.split()])
        sys.stdout.write(bytes(buffer[:length]).decode())


main()
