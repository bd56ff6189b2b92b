"""Broker, database and worker as cards: a word with its shape, since when, and the reason where one is not well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from html import escape
from typing import Final

from ingest.health import Health, State, WorkerHealth
from pages.parts.format import age, count, exact, moment, span, things

_SHAPES: Final = {"connected": "online", "connecting": "late", "stopped": "silent", "running": "online"}
_KEEPER: Final = "Keeper: takes presence and states, does the upkeep"
#: What a broker lets through unacknowledged; below this it slows a busy system down much.
_NARROW_WINDOW: Final = 100
_UNKNOWN: Final = "\N{EN DASH}"
_LAG: Final = (
    "How old the freshest reading was that came last, by its device's clock, and how long it has been waiting for the "
    "database. Devices' clocks are off by some; unknown where no reading carries a time."
)
_BACKLOG: Final = (
    "Messages that the broker holds for any of its clients, as it tells under $SYS. Unknown where it tells nothing."
)
_CATCH_UP: Final = "At the rate at which the broker's queue became shorter; unknown while it does not."


@dataclass(frozen=True, slots=True)
class Part:
    """One card. `trouble`: sentences that need a person; `lines`: what else there is to know."""

    name: str
    state: str
    since: int
    trouble: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its name, and what it means to those who ask."""

    label: str
    value: str
    unit: str = ""
    hover: str = ""


def parts(health: Health, now: int, zone: tzinfo) -> list[Part]:
    """A card for each part. Times are UTC ms."""
    found = [_database(health)]
    if health.mode == "thread":
        return [_broker(health), *found, _worker(health)]
    return [*found, *(_remote(worker, now, zone) for worker in health.workers)]


def _broker(health: Health) -> Part:
    broker = health.broker
    spoken = ", ".join(filter(None, (broker.version, f"MQTT {broker.protocol}" if broker.protocol else "")))
    lines = [f"{broker.address}{', embedded' if broker.embedded else ''}", *filter(None, [spoken])]
    if broker.embedded:
        lines.append("For trying out: what it holds is gone when it stops.")
    trouble = [broker.problem] if broker.problem else []
    if broker.window is not None and broker.window < _NARROW_WINDOW and not broker.embedded:
        trouble.append(f"It hands over only {broker.window} messages at a time: raise max_inflight_messages to 2000.")
    if broker.dropped:
        trouble.append(
            f"The broker dropped {things(broker.dropped, 'message')} since its start, because a client's queue was "
            "full: raise max_queued_messages."
        )
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
    """Rates, times and what waits, here and at the broker, as HTML; a dash where it is not known."""
    return figures_html(figures(health))


def figures_html(told: Iterable[Figure]) -> str:
    """Numbers with their names."""
    return f'<dl class="sm-figures">{"".join(_cell(figure) for figure in told)}</dl>'


def figures(health: Health) -> list[Figure]:
    """What the last minute was like, and how far behind we are."""
    rates, broker, waiting = health.rates, health.broker, health.account.messages.waiting
    return [
        Figure("messages stored", count(rates.messages_per_minute), "/min"),
        Figure("readings stored", count(rates.readings_per_minute), "/min"),
        Figure("from receipt to stored", _known(rates.store_ms, span)),
        Figure("behind by", _known(rates.lag_ms, span), hover=_LAG),
        Figure("in hand, not stored yet", count(waiting)),
        Figure("waiting at the broker", _known(broker.backlog, count), hover=_BACKLOG),
        Figure(
            "caught up in about",
            _known(broker.catch_up_ms, lambda ms: span(max(ms, 1_000)) if ms else "0 s"),
            hover=_CATCH_UP,
        ),
    ]


def _known(value: int | None, words: Callable[[int], str]) -> str:
    return _UNKNOWN if value is None else words(value)


def _cell(figure: Figure) -> str:
    hover = f' title="{escape(figure.hover)}"' if figure.hover else ""
    value = f"<dd>{escape(figure.value)}<small>{escape(figure.unit)}</small></dd>"
    return f'<div class="sm-figure"{hover}><dt>{escape(figure.label)}</dt>{value}</div>'
