"""The last samples a device took, by sequence number: what is still to be sent, and what can be sent again."""

from __future__ import annotations

from firmware.messages import Sample


class SampleRing:
    """Holds the last `capacity` samples of one boot; the oldest leave first, sent or not."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._slots: list[Sample] = []  # grows up to `capacity`: most of a large fleet never need all of it
        self._next = 0

    @property
    def first(self) -> int:
        """The oldest sequence number that is still held; `next` when there is none."""
        return max(0, self._next - self._capacity)

    @property
    def next(self) -> int:
        """The sequence number of the next sample."""
        return self._next

    def append(self, sample: Sample) -> None:
        """Add the sample with sequence number `next`. Raises ValueError for any other."""
        if sample.seq != self._next:
            raise ValueError(f"sample {sample.seq} does not follow {self._next - 1}")
        if len(self._slots) < self._capacity:
            self._slots.append(sample)
        else:
            self._slots[sample.seq % self._capacity] = sample
        self._next += 1

    def between(self, first: int, last: int) -> list[Sample]:
        """The samples held from `first` to `last`, both included, oldest first."""
        held = range(max(first, self.first), min(last + 1, self._next))
        return [self._slots[seq % self._capacity] for seq in held]
