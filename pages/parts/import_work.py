"""A file with readings that an administrator uploads: checked, then stored, in words and in the audit log."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import BinaryIO, Final

import streamlit as st

from db import audit, imports, incoming_files, sealing
from db.audit import Entry, Result
from db.doors import Actor
from db.engine import DatabaseError, writing
from db.incoming import DAY_MS, BadFile, Incoming, Problems
from pages.parts.clock import now_ms
from pages.parts.format import count, things
from pages.parts.jobs import Bench, JobFailed
from pages.parts.tables import dim, table
from pages.parts.words import html
from runtime import Runtime

log = logging.getLogger(__name__)

_SHOWN: Final = 100


@st.cache_resource(show_spinner=False)
def bench() -> Bench:
    """The process's one import from a page."""
    return Bench()


class Upload:
    """A file, and once it was checked, what would come of it. `key` tells it from other uploads."""

    def __init__(self, key: str, name: str, opened: BinaryIO, size: int) -> None:
        self.key, self.name = key, name
        self.incoming: Incoming | None = None
        self.plan: imports.Plan | None = None
        self._opened, self._size = opened, size

    def check(self, runtime: Runtime) -> Generator[str]:
        """Read it and compare it with what is stored. Raises JobFailed where nothing of it can be used."""
        yield f"Reading {self.name}…"
        now, days = now_ms(), runtime.settings.retention_raw_days
        oldest = None if days is None else now - days * DAY_MS
        try:
            incoming = incoming_files.read(self._opened, self._size, now, oldest, lambda _: None)
        except BadFile as error:
            raise JobFailed(f"{self.name} can't be used: {error}. Nothing was stored.") from error
        yield f"Comparing {things(len(incoming), 'reading')} with what is stored…"
        plan = imports.plan(runtime.engine, incoming, lambda _: None)
        self.incoming, self.plan = incoming, plan
        yield summary(plan, incoming)

    def store(self, runtime: Runtime, actor: Actor, plan: imports.Plan) -> Generator[str]:
        """Store what can be stored, day by day; how far it is, then how many. Raises DatabaseAway."""
        fresh, stored, gone_through = plan.fresh, 0, 0
        result: Result = "failed"
        try:
            seal_before = sealing.sealed_before(now_ms(), runtime.settings.seal_after_days)
            for step in imports.store(runtime.engine, fresh, now_ms(), seal_before):
                stored += step.stored
                gone_through += step.readings
                yield f"{count(gone_through)} of {things(len(fresh), 'reading')} stored."
            result = "ok"
        finally:
            at, address = now_ms(), actor.origin.address
            detail = f"{stored} readings stored, {fresh.problems.count} rejected"
            _record(runtime, Entry(at, actor.name, address, "readings.import", self.name[:191], result, detail))
        yield f"{things(stored, 'reading')} of {self.name} stored."


def _record(runtime: Runtime, entry: Entry) -> None:
    """Note it; where the database went away meanwhile, in the server's log at least."""
    try:
        with writing(runtime.engine) as connection:
            audit.record(connection, runtime.doors.key("audit"), entry)
    except DatabaseError as error:
        log.warning("%s of %s by %s is not in the audit log: %s", entry.action, entry.subject, entry.actor, error)


def summary(plan: imports.Plan, incoming: Incoming) -> str:
    """What would come of it, in a sentence."""
    parts = [f"{things(len(plan.fresh), 'reading')} to store"]
    if plan.known:
        parts.append(f"{count(plan.known)} stored already")
    if incoming.repeated:
        parts.append(f"{count(incoming.repeated)} twice in the file")
    if incoming.problems.count:
        parts.append(f"{count(incoming.problems.count)} can't be used")
    return f"{', '.join(parts)}."


def problems_html(problems: Problems) -> str:
    """What can't be used and why, line by line, as a table."""
    first = sorted(problems.kept, key=lambda one: one.line)[:_SHOWN]
    rows = [
        (f'<span class="sm-narrow">Line </span>{count(one.line)}', html(one.field or ""), html(one.reason))
        for one in first
    ]
    more = problems.count - len(first)
    rest = dim(f"These are the first {_SHOWN}. python -m db import FILE --dry-run tells of all.") if more > 0 else ""
    return table("What can't be used", ("Line", "Field", "Why"), rows) + rest
