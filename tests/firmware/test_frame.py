# ruff: noqa: S311  # dice, and no secret
"""Frames, as MicroPython encodes and decodes them, against a reference in this Python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parts.micropython import numbers, run

Fields = tuple[int, int, int, int, int, int]
FORM = re.compile(rb"1,(\d+),(\d+),(\d+),(\d+),(-?\d+),(\d+)")
LARGEST = (1 << 30) - 1
fields = st.tuples(
    st.integers(0, 9),
    st.integers(0, LARGEST),
    st.integers(0, LARGEST),
    st.integers(0, 31),
    st.integers(-4000, 8000),
    st.integers(0, 10_000),
)


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE bit by bit, as it is defined."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else (crc << 1) & 0xFFFF
    return crc


def frame(values: Sequence[int]) -> bytes:
    body = b"1," + b",".join(b"%d" % value for value in values)
    return b"~%s*%04X\n" % (body, crc16(body))


def reference(stream: bytes) -> list[tuple[int, ...]]:
    """What is in a stream, found in another way than the decoder's."""
    found = []
    for piece in stream.split(b"~")[1:]:
        line, newline, _ = piece.partition(b"\n")
        body, star, crc = line[:-5], line[-5:-4], line[-4:]
        parts = FORM.fullmatch(body)
        whole = newline and star == b"*" and len(line) <= 56 and crc == b"%04X" % crc16(body)
        if whole and parts:
            found.append(tuple(int(part) for part in parts.groups()))
    return found


def decode(stream: bytes, size: int = 64) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """The frames, and the counts of good, bad and noise."""
    *frames, counts = run("decode_frames.py", str(size), stdin=stream)
    return numbers(frames), tuple(int(count) for count in counts.split()[1:])


def some(random: Random) -> Fields:
    return (
        random.randrange(4),
        random.randrange(1 << 30),
        random.randrange(1 << 30),
        random.randrange(32),
        random.randint(-4000, 8000),
        random.randint(0, 10_000),
    )


def test_the_reference_knows_the_check_value() -> None:
    assert crc16(b"123456789") == 0x29B1


@settings(max_examples=25, deadline=None)
@given(st.lists(fields, min_size=1, max_size=40))
def test_micropython_writes_and_reads_what_the_reference_does(many: list[Fields]) -> None:
    lines = "".join(f"{' '.join(map(str, values))}\n" for values in many)
    written = "\n".join(run("encode_frames.py", stdin=lines.encode())).encode() + b"\n"
    assert written == b"".join(frame(values) for values in many)
    assert decode(written) == (list(many), (len(many), 0, 0))


def test_every_length_comes_through() -> None:
    powers = [0, *(10**n for n in range(10)), *(10**n - 1 for n in range(1, 10)), LARGEST]
    temperatures = (-4000, -999, -99, -1, 0, 9, 99, 8000)
    many = [
        (place % 10, seq, LARGEST - seq, place % 32, temperatures[place % 8], place * 300)
        for place, seq in enumerate(powers)
    ]
    assert decode(b"".join(frame(values) for values in many))[0] == many


def test_a_frame_split_at_each_byte_is_whole_again() -> None:
    random = Random(2)
    many = [some(random) for _ in range(10)]
    stream = b"".join(frame(values) for values in many)
    for size in range(1, 58):
        assert decode(stream, size)[0] == many


def test_twenty_thousand_frames_with_flipped_bits_yield_none_that_was_not_sent() -> None:
    random = Random(3)
    sent, stream = set(), bytearray()
    for _ in range(20_000):
        values = some(random)
        sent.add(values)
        damaged = bytearray(frame(values))
        for _ in range(random.randint(1, 6)):
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        stream += damaged
    found, (good, bad, _) = decode(bytes(stream), 4096)
    assert found == reference(bytes(stream))
    assert set(found) <= sent, "a damaged frame was taken for a good one"
    assert good < 1_000, "hardly one is whole: two flips of the same bit"
    assert bad > 15_000


def test_truncated_frames_cost_only_themselves() -> None:
    random = Random(4)
    whole, stream = [], b""
    for number in range(400):
        values = some(random)
        text = frame(values)
        if number % 2:
            whole.append(values)
            stream += text
        else:
            stream += text[: random.randrange(1, len(text) - 1)]
    found, (good, bad, _) = decode(stream)
    assert (found, good, bad) == (whole, 200, 200)


def test_a_frame_within_a_frame_costs_the_outer_one() -> None:
    inner, outer = (0, 7, 7, 0, 2340, 5610), (1, 8, 8, 0, -50, 9990)
    text = frame(outer)
    for cut in range(1, len(text)):
        found, _ = decode(text[:cut] + frame(inner) + text[cut:])
        assert found == [inner]


@pytest.mark.parametrize("kind", ["any bytes", "what frames are made of"])
def test_noise_is_passed_over(kind: str) -> None:
    random = Random(5)
    alphabet = bytes(range(256)) if kind == "any bytes" else b"~1,0-*\n9AF"
    stream, sent = b"", []
    for _ in range(300):
        values = some(random)
        sent.append(values)
        # Noise that ends within a frame of its own costs no other: a start begins anew.
        stream += bytes(random.choice(alphabet) for _ in range(random.randrange(120))) + frame(values)
    found, _ = decode(stream)
    assert found == reference(stream)
    assert found == sent


@pytest.mark.parametrize(
    "body",
    [
        b"2,0,1,2,0,2340,5610",
        b"1,0,1,2,0,2340",
        b"1,0,1,2,0,2340,5610,7",
        b"1,0,1,2,0,2340,-5610",
        b"1,0,-1,2,0,2340,5610",
        b"1,0,1,2,0,,5610",
        b"1,0,1,2,0,23.4,5610",
        b"1,0,1,2,0,--40,5610",
        b"1,0,1,1073741824,0,2340,5610",
        b"1,0,99999999999999999999,2,0,2340,5610",
        b"",
        b"1",
    ],
)
def test_what_has_the_right_crc_and_the_wrong_fields_is_bad(body: bytes) -> None:
    assert decode(b"~%s*%04X\n" % (body, crc16(body))) == ([], (0, 1, 0))


def test_neither_decoding_nor_encoding_allocates() -> None:
    stream = b"".join(frame(some(Random(6))) for _ in range(50)) + b"noise~1,2,3\n~1"
    assert run("decode_without_heap.py", stdin=stream) == ["51"]
