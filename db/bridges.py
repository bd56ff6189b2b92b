"""Bridges of sites: whether the broker of a site is connected to ours, as its bridge says. CONTRACT, "MQTT"."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from db.schema import bridges
from db.statements import insert_ignore


@dataclass(frozen=True, slots=True)
class BridgeReport:
    """What the bridge of a site, or the broker in its place, says of it."""

    site: str
    up: bool


@dataclass(frozen=True, slots=True)
class Bridge:
    """A site's bridge, and since when it has been so (UTC ms)."""

    site: str
    up: bool
    since: int


def store(connection: Connection, report: BridgeReport, at: int) -> None:
    """Remember what was said at `at` (UTC ms). What is known already, as the broker retains it, moves no time."""
    row = {"up": int(report.up), "since": at}
    mine = bridges.c.site == report.site
    known = connection.scalar(select(bridges.c.up).where(mine))
    if known is None:
        connection.execute(insert_ignore(bridges), [{"site": report.site, **row}])
    elif known != row["up"]:
        connection.execute(update(bridges).where(mine).values(row))


def every(connection: Connection) -> dict[str, Bridge]:
    """All that ever said something, by site."""
    return {row.site: Bridge(row.site, bool(row.up), row.since) for row in connection.execute(select(bridges))}
