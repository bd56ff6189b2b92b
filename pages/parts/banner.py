"""What is not well, said calmly on top of every page: what happened, whether anything is lost, what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from html import escape
from typing import Final

import streamlit as st

from ingest.health import Health
from pages.parts.clock import display_zone, now_ms
from pages.parts.format import age, moment, things
from pages.parts.login import check_reader
from runtime import get_runtime

#: A connection that takes no longer than this to come up is no news.
_PATIENCE_MS: Final = 3_000
_HEARTBEAT_LATE_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that is not well: what happened, then the rest in a few sentences, and the cause as it was reported."""

    title: str
    text: str
    cause: str | None = None


def notices(health: Health, now: int, zone: tzinfo) -> list[Notice]:
    """What is not well at `now` (UTC ms), the gravest first. Empty if all is well."""
    found = [_database(health, now, zone), _broker(health, now, zone), *_threads(health), _workers(health, now, zone)]
    return [notice for notice in found if notice is not None]


def _database(health: Health, now: int, zone: tzinfo) -> Notice | None:
    database = health.database
    if database.state == "connected" or (database.problem is None and now - database.since < _PATIENCE_MS):
        return None
    return Notice(
        f"The database has been out of reach since {moment(database.since, now, zone)}",
        "Nothing that was stored is lost, and new readings wait at the broker until they can be stored. The server "
        f"keeps trying and needs no restart. You can check that {database.address} is up.",
        database.problem,
    )


def _broker(health: Health, now: int, zone: tzinfo) -> Notice | None:
    broker = health.broker
    if health.mode == "off" or broker.state == "connected":
        return None
    if broker.problem is None and (health.database.state != "connected" or now - broker.since < _PATIENCE_MS):
        return None  # the worker opens the database first, and only then asks the broker for anything
    return Notice(
        f"The broker has been out of reach since {moment(broker.since, now, zone)}",
        "Nothing that was stored is lost. What devices send meanwhile stays with them or with the broker, and numbers "
        "that never arrive are listed under System. The server keeps trying and needs no restart. You can check that "
        f"{broker.address} is up.",
        broker.problem,
    )


def _threads(health: Health) -> list[Notice]:
    return [
        Notice(
            f"A part of the worker stopped: {thread.name}",
            f"It is started again by itself, {things(thread.restarts, 'time')} so far. What was not stored yet is with "
            "the broker and comes again. If this stays, look into the server's log.",
            thread.problem,
        )
        for thread in health.threads
        if not thread.alive
    ]


def _workers(health: Health, now: int, zone: tzinfo) -> Notice | None:
    if health.mode != "off" or health.database.state != "connected":
        return None
    if any(worker.heartbeat_age_ms < _HEARTBEAT_LATE_MS for worker in health.workers):
        return None
    last = min((worker.heartbeat_age_ms for worker in health.workers), default=None)
    heard = "no worker has ever reported" if last is None else f"the last sign of life was {age(now - last, now, zone)}"
    return Notice(
        "No worker is running",
        f"This server shows and does not store (INGEST=off), and {heard}. Readings wait at the broker. "
        "You can start a worker: python -m ingest",
    )


@st.fragment(run_every=2)
def show_notices() -> None:
    """The notices, live. Nothing while all is well."""
    check_reader()
    now, zone = now_ms(), display_zone()
    found = notices(get_runtime().health(), now, zone)
    if found:
        st.html("".join(_html(notice) for notice in found))


def _html(notice: Notice) -> str:
    cause = f'<p class="sm-cause">Reported: {escape(notice.cause)}</p>' if notice.cause else ""
    return (
        '<div class="sm-banner" role="status"><p class="sm-banner-title"><span class="shape trouble"></span>'
        f"{escape(notice.title)}</p><p>{escape(notice.text)}</p>{cause}</div>"
    )
