from __future__ import annotations

import pytest

from firmware.messages import Sample
from firmware.sample_ring import SampleRing


def filled(capacity: int, count: int) -> SampleRing:
    ring = SampleRing(capacity)
    for seq in range(count):
        ring.append(Sample(ts=1000 + seq, seq=seq, boot="a", temperature=1.0, humidity=2.0))
    return ring


@pytest.mark.parametrize(
    ("count", "asked", "held"),
    [
        (0, (0, 9), []),
        (3, (0, 9), [0, 1, 2]),
        (3, (1, 1), [1]),
        (5, (0, 4), [0, 1, 2, 3, 4]),
        (12, (0, 20), [7, 8, 9, 10, 11]),
        (12, (8, 9), [8, 9]),
        (12, (2, 6), []),
        (12, (12, 40), []),
    ],
)
def test_between(count: int, asked: tuple[int, int], held: list[int]) -> None:
    assert [sample.seq for sample in filled(5, count).between(*asked)] == held


def test_first_and_next() -> None:
    assert (filled(5, 0).first, filled(5, 0).next) == (0, 0)
    assert (filled(5, 12).first, filled(5, 12).next) == (7, 12)


def test_a_sample_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="does not follow 2"):
        filled(5, 3).append(Sample(ts=1, seq=7, boot="a", temperature=1.0, humidity=2.0))
