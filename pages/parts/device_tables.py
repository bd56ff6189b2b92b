"""What a device has, as HTML tables: facts, metrics, actuators, commands. Pure; every word not ours is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from html import escape
from typing import Final, Literal
from urllib.parse import urlencode

from db.commands import Command
from db.devices import Actuator
from ingest.series import SeriesNow
from pages.parts.format import age, decimals_for, exact, number, span
from pages.parts.history_states import state_word
from pages.parts.tables import NOTHING, button, state, table, when
from pages.parts.words import html

#: How a command that came to this is said, with the shape beside it.
ENDS: Final[dict[str, tuple[Literal["online", "late", "silent", "trouble"], str]]] = {
    "queued": ("late", "waits"),
    "published": ("late", "sent"),
    "confirmed": ("online", "confirmed"),
    "failed": ("trouble", "failed"),
    "expired": ("trouble", "expired"),
    "contradicted": ("trouble", "contradicted"),
    "cancelled": ("silent", "replaced"),
}


def facts_html(facts: Sequence[tuple[str, str]]) -> str:
    """Names with what is known, which is HTML; what is empty is not known."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{value or NOTHING}</dd></div>" for name, value in facts)
    return f'<dl class="sm-facts">{items}</dl>'


def metrics_html(device: str, metrics: Sequence[SeriesNow], now: int, zone: tzinfo) -> str:
    """Each metric with its newest value and a way to its history. Times are UTC ms."""
    rows = []
    for one in sorted(metrics, key=lambda series: series.metric):
        decimals = decimals_for([one.value])
        unit = f' <span class="sm-dim">{html(one.unit)}</span>' if one.unit else ""
        address = f"history?{urlencode({'device': device, 'metric': one.metric})}"
        usual = "" if one.interval_ms is None else f"every {span(one.interval_ms)}"
        rows.append(
            (
                html(one.metric),
                f"<span>{number(one.value, decimals)}{unit}</span>",
                when(one.ts, now, zone),
                usual,
                f'<a href="{escape(address)}">History<span class="unseen"> of {html(one.metric)}</span></a>',
            )
        )
    return table("Metrics", ("Metric", "Newest value", "Taken", "Usually", ""), rows)


def actuators_html(actuators: Sequence[Actuator], now: int, zone: tzinfo, *, acts: bool) -> str:
    """Each actuator with what it reports and what can be asked of it."""
    rows = []
    for one in actuators:
        told = "never reported" if one.state is None else state_word(one.state, one.unit)
        since = ""
        if one.state_at is not None:
            since = f'<span title="{escape(exact(one.state_at, zone))}">{escape(age(one.state_at, now, zone))}</span>'
        cells = [html(one.name), html(told), since, html(takes(one))]
        rows.append([*cells, button("Remove", one.name, f"remove:{one.name}")] if acts else cells)
    columns = ["Actuator", "Reports", "Since", "Takes"]
    return table("Actuators", [*columns, ""] if acts else columns, rows)


def takes(actuator: Actuator) -> str:
    """What can be asked of it: "on and off", "0 to 100 %, in steps of 5"."""
    low, high, step, unit = actuator.minimum, actuator.maximum, actuator.step, actuator.unit
    if all(given is None for given in (low, high, step, unit)) and actuator.state in (None, "ON", "OFF"):
        return "on and off"

    def word(value: float) -> str:
        return state_word(str(value), None)

    told = "a number"
    if low is not None:
        told = f"from {word(low)} on" if high is None else f"{word(low)} to {word(high)}"
    elif high is not None:
        told = f"up to {word(high)}"
    told = f"{told} {unit}" if unit else told
    return told if step is None else f"{told}, in steps of {word(step)}"


def commands_html(commands: Sequence[Command], units: dict[str, str | None], now: int, zone: tzinfo) -> str:
    """The last ones, newest first. `units`: by actuator."""
    rows = []
    for one in commands:
        shape, word = ENDS[one.status]
        last = one.steps[-1]
        lasted = (now if one.open else last.at) - one.made_at
        rows.append(
            (
                when(one.made_at, now, zone),
                html(one.by),
                html(f"{one.actuator} {state_word(one.state, units.get(one.actuator))}"),
                f"{max(0, lasted) / 1000:.1f} s" if lasted < 10_000 else span(lasted),
                f'<span>{state(shape, word)} <span class="sm-dim">{html(last.evidence, 500)}</span></span>',
            )
        )
    return table("Last commands", ("When", "Who", "What", "How long", "How it ended"), rows, log=True)
