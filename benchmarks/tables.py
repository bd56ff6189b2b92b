"""Results as tables: for a terminal, and for docs/benchmarks.md. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median


@dataclass(frozen=True, slots=True)
class Table:
    """One benchmark's result. `notes` say how it was measured and what its numbers can't tell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def terminal(self) -> str:
        """Aligned columns; the first to the left, the others to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        shown = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
        return "\n".join([self.title, "=" * len(self.title), shown[0], "-" * len(shown[0]), *shown[1:], *self.notes])

    def markdown(self) -> str:
        """A section of docs/benchmarks.md."""
        head = [f"| {' | '.join(self.columns)} |", f"|---|{'---:|' * (len(self.columns) - 1)}"]
        rows = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in self.rows]
        notes = ["", " ".join(self.notes)] if self.notes else []
        return "\n".join([f"### {self.title}", "", *head, *rows, *notes])


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = line
    return [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]


def count(number: float) -> str:
    """A number of things: 12,345."""
    return f"{number:,.0f}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and lowest to highest where there are several: `2.81 (2.74-2.90)`."""
    middle = f"{median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not below `percent` percent of them. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
