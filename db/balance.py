"""Readings held against readings counted: rows + sealed = stored + imported - removed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from db import account, chunks, readings


@dataclass(frozen=True, slots=True)
class Balance:
    """Readings that the tables hold, as rows and sealed, and those that the account says they hold."""

    held: int
    counted: int

    @property
    def off_by(self) -> int:
        """Held beyond what is counted, below zero where some are missing; 0 is well."""
        return self.held - self.counted


def read(connection: Connection) -> Balance:
    """Count both: exact where `connection` is a snapshot."""
    stored = sum(tally.readings_stored for tally in account.totals(connection).values())
    imported, removed = account.imported_and_removed(connection)
    held = readings.count(connection) + chunks.count(connection)
    return Balance(held, stored + imported - removed)
