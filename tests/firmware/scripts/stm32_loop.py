"""On MicroPython: the STM32's loop for 400 rounds; print what of the heap was alive before and after the last 300."""

import gc
import time

from outside import path

from firmware.stm32.app import Node
from firmware.stm32.config import read


def rounds(node: Node, number: int) -> int:
    for _ in range(number):
        node.step()
        time.sleep_ms(2)
    gc.collect()
    return gc.mem_alloc()


def main() -> None:
    node = Node(read(path("config.json")))
    before = rounds(node, 100)
    after = rounds(node, 300)
    print("heap", before, after, gc.mem_free())


main()
