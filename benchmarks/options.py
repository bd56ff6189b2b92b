"""What the command line asks of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`messages`: of a backlog, None for the benchmark's own number. `quick`: a small form that proves it works and
    whose numbers mean nothing. `full`: what takes an hour and many GB as well. `repeats`: runs of each, interleaved.
    """

    messages: int | None = None
    quick: bool = False
    full: bool = False
    repeats: int = 3

    def backlog(self, usual: int, quick: int) -> int:
        """Messages to send."""
        return self.messages or (quick if self.quick else usual)

    @property
    def rounds(self) -> int:
        """How often each side is measured."""
        return 1 if self.quick else self.repeats
