"""On MicroPython: what a ring of argv[1] does on stdin's orders, a line of its figures after each."""

import sys

from firmware.lib.ring import BY_CLOCK, Ring


def obey(ring: Ring, order: str, numbers: list[int]) -> None:
    if order == "append":
        for _ in range(numbers[0]):
            ring.append(ring.next, ring.next % 1000, BY_CLOCK, 1, -ring.next, ring.next)
    elif order == "ack":
        ring.acknowledged(numbers[0])
    elif order == "load":
        ring.load(numbers[0])
        print("reading", ring.seconds, ring.ms, ring.timed, ring.sensor, ring.temperature, ring.humidity)
    elif order == "time":
        ring.set_time(*numbers)
    waiting = ring.waiting
    print(ring.first, ring.next, ring.to_send, waiting, ring.lost)


def main() -> None:
    ring = Ring(int(sys.argv[1]))
    for line in sys.stdin:
        order, *numbers = line.split()
        obey(ring, order, [int(number) for number in numbers])


main()
