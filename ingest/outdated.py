"""Readings that are older than what is kept are rejected: they would be removed again at once. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from db.readings import Sample
from db.terminal import clock
from ingest.dialects.decoded import Decoded

_DAY_MS: Final = 86_400_000
_PROBLEMS_SHOWN: Final = 20


def without_outdated(decoded: Decoded, raw_days: int | None, now: int) -> Decoded:
    """The message without readings that were taken more than RETENTION_RAW_DAYS before `now` (UTC ms)."""
    if raw_days is None:
        return decoded
    oldest, received_at = now - raw_days * _DAY_MS, decoded.message.received_at
    old = [sample for sample in decoded.samples if _taken(sample, received_at) < oldest]
    if not old:
        return decoded
    problems = [
        f"{name}: {clock(_taken(sample, received_at))} is longer ago than the {raw_days} days for which readings are "
        "kept (RETENTION_RAW_DAYS)"
        for sample in old[:_PROBLEMS_SHOWN]
        for name, _ in sample.values
    ]
    return structs.replace(
        decoded,
        samples=tuple(_without(decoded.samples, oldest, received_at)),
        rejected=decoded.rejected + sum(len(sample.values) for sample in old),
        problems=(*decoded.problems, *problems[:_PROBLEMS_SHOWN]),
    )


def _taken(sample: Sample, received_at: int) -> int:
    return received_at - sample.age if sample.ts is None else sample.ts


def _without(samples: tuple[Sample, ...], oldest: int, received_at: int) -> Iterator[Sample]:
    for sample in samples:
        if _taken(sample, received_at) >= oldest:
            yield sample
        elif sample.seq is not None:  # its number arrived all the same
            yield structs.replace(sample, values=(), ts=None, age=0)
