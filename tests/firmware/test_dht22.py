"""DHT22 readings by MicroPython's own driver, from the widths of pulses."""

from __future__ import annotations

from pathlib import Path
from random import Random

from firmware import pulses
from tests.parts.micropython import STM32_HEAP, numbers, run

NO_FAULT, MISSING, BROKEN_OFF, CHECKSUM, IMPOSSIBLE, EMPTY = range(6)


def measured(directory: Path, many: list[list[int]]) -> list[tuple[int, ...]]:
    """Fault, temperature and humidity in hundredths of each of these answers."""
    lines = "".join(f"{pulses.text(widths)}\n" for widths in many)
    return numbers(run("measure.py", stdin=lines.encode(), heap=STM32_HEAP, outside=directory))


def test_every_temperature_and_humidity_is_read_exactly(tmp_path: Path) -> None:
    random = Random(1)  # noqa: S311  # noise on a pulse is no secret
    tenths = [(t, random.randint(1, 1000)) for t in range(-400, 801)]
    tenths += [(random.randint(-400, 800), h) for h in range(1, 1001)]
    many = [pulses.widths(pulses.frame(t / 10, h / 10), random, 20) for t, h in tenths]
    assert measured(tmp_path, many) == [(NO_FAULT, t * 10, h * 10) for t, h in tenths]


def test_nothing_answers(tmp_path: Path) -> None:
    assert measured(tmp_path, [[], [-1], [200], [80]]) == [(MISSING, 0, 0)] * 4


def test_an_answer_that_breaks_off_is_no_missing_sensor(tmp_path: Path) -> None:
    whole = pulses.widths(pulses.frame(23.4, 56.1))
    cut = [whole[:bits] for bits in range(2, 41)]
    stuck = [[*whole[:bits], 5_000, *whole[bits + 1 :]] for bits in range(2, 41)]
    assert measured(tmp_path, cut + stuck) == [(BROKEN_OFF, 0, 0)] * 78


def test_each_flipped_bit_is_noticed(tmp_path: Path) -> None:
    data = pulses.frame(23.4, 56.1)
    flipped = [data[: bit // 8] + bytes([data[bit // 8] ^ 0x80 >> bit % 8]) + data[bit // 8 + 1 :] for bit in range(40)]
    assert measured(tmp_path, [pulses.widths(one) for one in flipped]) == [(CHECKSUM, 0, 0)] * 40


def test_all_zero_is_no_reading_though_its_checksum_is_right(tmp_path: Path) -> None:
    assert measured(tmp_path, [pulses.widths(bytes(5))]) == [(EMPTY, 0, 0)]
    assert measured(tmp_path, [pulses.widths(pulses.frame(0, 0.1))]) == [(NO_FAULT, 0, 10)]
    assert measured(tmp_path, [pulses.widths(pulses.frame(-0.1, 0))]) == [(NO_FAULT, -10, 0)]


def test_what_the_sensor_cannot_measure_is_refused(tmp_path: Path) -> None:
    impossible = [(-40.1, 50), (80.1, 50), (20, 100.1), (3276.7, 6553.5), (-3276.7, 0)]
    frames = [pulses.widths(pulses.frame(t, h)) for t, h in impossible]
    assert measured(tmp_path, frames) == [(IMPOSSIBLE, 0, 0)] * 5


def test_after_a_fault_it_goes_on(tmp_path: Path) -> None:
    good = pulses.widths(pulses.frame(1.5, 33.3))
    assert measured(tmp_path, [good, [], good]) == [(NO_FAULT, 150, 3330), (MISSING, 0, 0), (NO_FAULT, 150, 3330)]
