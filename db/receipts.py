"""Receipts: (device, boot, seq) of messages without a time of their own, so that a repetition is recognised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection, delete, select

from db.schema import receipts
from db.statements import in_chunks, insert_ignore

#: How long a receipt is kept: longer than a broker's session, which ends after 7 days.
KEPT_MS: Final = 8 * 86_400_000

#: (device id, boot, seq)
Key = tuple[int, str, int]


def existing(connection: Connection, keys: Iterable[Key]) -> dict[Key, int]:
    """Digests of the payloads that were stored under these keys."""
    by_start: dict[tuple[int, str], list[int]] = {}
    for device_id, boot, seq in set(keys):
        by_start.setdefault((device_id, boot), []).append(seq)
    found: dict[Key, int] = {}
    for (device_id, boot), numbers in sorted(by_start.items()):
        for chunk in in_chunks(sorted(numbers), 500):
            query = select(receipts.c.seq, receipts.c.digest).where(
                receipts.c.device_id == device_id, receipts.c.boot == boot, receipts.c.seq.in_(chunk)
            )
            found.update(((device_id, boot, row.seq), row.digest) for row in connection.execute(query))
    return found


def insert_new(connection: Connection, digests: Mapping[Key, int], received_at: int) -> int:
    """Leave receipts whose key is free. Returns how many were left."""
    if not digests:
        return 0
    rows = [
        {"device_id": device_id, "boot": boot, "seq": seq, "received_at": received_at, "digest": digest}
        for (device_id, boot, seq), digest in sorted(digests.items())
    ]
    return connection.execute(insert_ignore(receipts), rows).rowcount


def prune(connection: Connection, now_ms: int) -> int:
    """Delete receipts older than 8 days. Returns how many."""
    return connection.execute(delete(receipts).where(receipts.c.received_at < now_ms - KEPT_MS)).rowcount
