"""All actuators as cards, groups of them, and the last commands: a component that /api/live/ moves in the browser.

A press comes back as data from the browser, and its answer goes there with the page's next data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import streamlit as st

from db.commands import Command, Step
from db.devices import Actuator
from ingest.snapshot import Snapshot
from pages.parts.live_cards import SHARED_SCRIPTS, SHARED_STYLES
from pages.parts.painted import painted
from pages.parts.places import Named

_HERE: Final = Path(__file__).parent
#: Put together in this order, after those that Live's cards have too; a component's script is one module.
_SCRIPTS: Final = ("order.js", "actuator.js", "groups.js", "commands.js", "controls.js")
_KEY: Final = "controls"
#: Presses of one message at most: all actuators of a large place at once.
_PRESSES: Final = 1_000


class Press(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody pressed a button: `id` is the browser's own, so that a press that comes twice is asked once."""

    id: Annotated[str, msgspec.Meta(min_length=16, max_length=40)]
    device: Annotated[str, msgspec.Meta(min_length=1, max_length=191)]
    actuator: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    order: Literal["ON", "OFF"] | float


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a press: the id of its command, or a sentence about why there is none."""

    press: str
    command: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Command:
    """A command as a browser may know it: not from which address it was asked."""

    id: str
    device: str
    actuator: str
    state: str
    status: str
    by: str | None
    made_at: int
    deadline_at: int
    steps: tuple[Step, ...]


def script() -> str:
    """The component's script: one JavaScript module."""
    paths = (*SHARED_SCRIPTS, *(_HERE / name for name in _SCRIPTS))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def style() -> str:
    """The component's style sheet."""
    return "\n".join(path.read_text(encoding="utf-8") for path in (*SHARED_STYLES, _HERE / "controls.css"))


def presses_of(sent: Any) -> list[Press]:
    """The presses that the browser sent, which may be anything: none if they are not what our script sends."""
    try:
        return msgspec.convert(sent, list[Press])[:_PRESSES]
    except msgspec.ValidationError:
        return []


def data_of(  # noqa: PLR0913  # what the page knows, each by its name
    snapshot: Snapshot,
    actuators: Iterable[Actuator],
    names: Mapping[str, Named],
    commands: Sequence[Command] | None,
    answers: Iterable[Answer],
    *,
    may: bool,
    now: int,
    zone: str,
) -> dict[str, Any]:
    """What the component is painted from, in the words of /api/live/'s events.

    Args:
        snapshot: What is so now.
        actuators: What the database knows of actuators: their ranges.
        names: How devices are shown, by their own names.
        commands: The last ones; None where whoever looks may not see who asked for what, only that something was.
        answers: What became of the last presses.
        may: Whether whoever looks may press.
        now: This machine's clock, UTC ms; the browser reckons ages by it.
        zone: Time zone for clocks and dates.
    """
    ranges = {(one.device, one.name): one for one in actuators}
    shown = [
        painted(device, names.get(device.name, Named()), bins=False, ranges=ranges)
        for device in snapshot.devices.values()
        if device.actuators
    ]
    return {
        "hidden": [name for name, one in names.items() if one.hidden],
        "started_at": snapshot.started_at,
        "version": snapshot.version,
        "now": now,
        "zone": zone,
        "may": may,
        "commands_shown": commands is not None,
        "devices": msgspec.to_builtins(shown),
        "commands": msgspec.to_builtins(_commands(snapshot, commands)),
        "answers": msgspec.to_builtins(list(answers)),
    }


def _commands(snapshot: Snapshot, listed: Sequence[Command] | None) -> list[_Command]:
    """Those on the board, which go on or ended just now, and the last ones."""
    shown = {one.command.id: _command(one.command, None) for one in snapshot.commands.values()}
    shown |= {one.id: _command(one, one.by) for one in listed or ()}
    return list(shown.values())


def _command(one: Command, by: str | None) -> _Command:
    return _Command(
        one.id, one.device, one.actuator, one.state, one.status, by, one.made_at, one.deadline_at, one.steps
    )


def show_controls(data: dict[str, Any], take: Callable[[list[Press]], None]) -> None:
    """Mount them. `take` is called with what was pressed, before the page runs again."""

    def pressed() -> None:
        take(presses_of(st.session_state[_KEY]["presses"]))

    _component()(
        key=_KEY,
        data=data,
        on_presses_change=pressed,
        on_refresh_change=_nothing,  # the rerun itself brings new data
    )


def _nothing() -> None:
    """A callback that a trigger must have."""


def _component() -> Any:
    return st.components.v2.component(_KEY, css=style(), js=script())
