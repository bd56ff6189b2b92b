"""Broker, database and worker as cards: a word with its shape, since when, and the reason where one is not well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from html import escape
from typing import Final

from ingest.health import Health, State, WorkerHealth
from pages.parts.format import age, count, exact, moment, span

_SHAPES: Final = {"connected": "online", "connecting": "late", "stopped": "silent", "running": "online"}
_KEEPER: Final = "Keeper: takes presence and states, does the upkeep"
#: What a broker lets through unacknowledged; below this it slows a busy system down much.
_NARROW_WINDOW: Final = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One card. `trouble`: sentences that need a person; `lines`: what else there is to know."""

    name: str
    state: str
    since: int
    trouble: tuple[str, ...]
    lines: tuple[str, ...]


def parts(health: Health, now: int, zone: tzinfo) -> list[Part]:
    """A card for each part. Times are UTC ms."""
    found = [_database(health)]
    if health.mode == "thread":
        return [_broker(health), *found, _worker(health)]
    return [*found, *(_remote(worker, now, zone) for worker in health.workers)]


def _broker(health: Health) -> Part:
    broker = health.broker
    lines = [f"{broker.address}{', embedded' if broker.embedded else ''}"]
    if broker.embedded:
        lines.append("For trying out: what it holds is gone when it stops.")
    trouble = [broker.problem] if broker.problem else []
    if broker.window is not None and broker.window < _NARROW_WINDOW and not broker.embedded:
        trouble.append(f"It hands over only {broker.window} messages at a time: raise max_inflight_messages to 2000.")
    return Part("Broker", broker.state, broker.since, tuple(trouble), tuple(lines))


def _database(health: Health) -> Part:
    database = health.database
    product = " ".join(filter(None, (database.product, database.version)))
    trouble = tuple(text for text in (database.problem, database.warning) if text)
    return Part("Database", database.state, database.since, trouble, tuple(filter(None, (product, database.address))))


def _worker(health: Health) -> Part:
    alive = all(thread.alive for thread in health.threads)
    trouble = tuple(
        f"{thread.name} stopped{f': {thread.problem}' if thread.problem else ''}; it is started again."
        for thread in health.threads
        if not thread.alive
    )
    trouble += tuple(f"{t.name}: {t.problem}." for t in health.threads if t.alive and t.problem)
    restarts = sum(thread.restarts for thread in health.threads)
    lines = (
        ", ".join(thread.name for thread in health.threads),
        _KEEPER if health.keeper else "",
        f"{count(restarts)} restarts" if restarts else "",
    )
    state: State | str = "running" if alive and health.threads else "stopped"
    return Part("Worker", state, health.started_at, trouble, tuple(filter(None, lines)))


def _remote(worker: WorkerHealth, now: int, zone: tzinfo) -> Part:
    heard = f"Last sign of life {age(now - worker.heartbeat_age_ms, now, zone)}"
    fresh = worker.heartbeat_age_ms < 10_000
    state = "running" if fresh else "stopped"
    trouble = () if fresh and worker.broker_state == "connected" else (f"Its broker: {worker.broker_state}.",)
    return Part(
        f"Worker {worker.name}",
        state,
        now - worker.heartbeat_age_ms,
        trouble,
        (heard, *([_KEEPER] if worker.keeper else [])),
    )


def parts_html(health: Health, now: int, zone: tzinfo) -> str:
    """The cards as HTML."""
    return f'<div class="sm-parts">{"".join(_card(part, now, zone) for part in parts(health, now, zone))}</div>'


def _card(part: Part, now: int, zone: tzinfo) -> str:
    since = f"since {moment(part.since, now, zone)}" if part.since else ""
    hover = escape(exact(part.since, zone))
    trouble = "".join(f'<p class="sm-trouble">{escape(text)}</p>' for text in part.trouble)
    lines = "".join(f"<p>{escape(text)}</p>" for text in part.lines)
    return (
        f'<section class="sm-part"><h2>{escape(part.name)}<span class="sm-state" title="{hover}">'
        f'<span class="shape {_SHAPES[part.state]}"></span>{escape(part.state)} {escape(since)}</span></h2>'
        f"{trouble}{lines}</section>"
    )


def rates_html(health: Health) -> str:
    """Rates, the time from receipt to commit, and the batch in hand, as HTML."""
    rates, waiting = health.rates, health.account.messages.waiting
    figures = (
        ("messages stored", count(rates.messages_per_minute), "/min"),
        ("readings stored", count(rates.readings_per_minute), "/min"),
        ("from receipt to stored", "\N{EN DASH}" if rates.store_ms is None else span(rates.store_ms), ""),
        ("messages in hand, not stored yet", count(waiting), ""),
    )
    cells = "".join(
        f'<div class="sm-figure"><dt>{escape(label)}</dt><dd>{escape(value)}<small>{unit}</small></dd></div>'
        for label, value, unit in figures
    )
    return f'<dl class="sm-figures">{cells}</dl>'
