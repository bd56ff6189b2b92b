# ruff: noqa: S311  # noise on a temperature is no secret
from __future__ import annotations

import asyncio
from random import Random

from firmware.led import Led
from firmware.messages import LedCommand, LedState

NOW_MS = 1_764_000_000_000
Report = tuple[LedState, str | None]


def reports_after(commands: list[LedCommand], repeats: list[LedCommand] | None = None, count: int = 1) -> list[Report]:
    """What the LED reports: to `commands`, then to `repeats` once `commands` brought `count` reports."""
    return asyncio.run(_reports(commands, repeats or [], count))


async def _reports(commands: list[LedCommand], repeats: list[LedCommand], count: int) -> list[Report]:
    reported: asyncio.Queue[Report] = asyncio.Queue()
    led = Led(lambda: NOW_MS, (0.0, 0.001), Random(1), lambda: reported.put_nowait((led.state, led.caused_by)))
    obeying = asyncio.create_task(led.obey())
    for command in commands:
        led.ask(command)
    seen = [await reported.get() for _ in range(count)]
    for command in [*repeats, LedCommand("OFF", "the end")]:
        led.ask(command)
    while seen[-1][1] != "the end":
        seen.append(await reported.get())
    obeying.cancel()
    return seen[:-1]


def test_it_obeys_in_order_and_names_the_command() -> None:
    commands = [LedCommand("ON", "a"), LedCommand("OFF", "b"), LedCommand("ON")]
    assert reports_after(commands, count=3) == [("ON", "a"), ("OFF", "b"), ("ON", None)]


def test_an_expired_command_is_ignored() -> None:
    commands = [LedCommand("ON", "late", NOW_MS), LedCommand("ON", "in time", NOW_MS + 1)]
    assert reports_after(commands) == [("ON", "in time")]


def test_a_repeated_id_is_answered_with_the_state_and_not_carried_out_again() -> None:
    commands = [LedCommand("ON", "a"), LedCommand("OFF", "b")]
    assert reports_after(commands, [LedCommand("ON", "a")], count=2)[2:] == [("OFF", "a")]


def test_a_repeat_while_the_first_is_still_waiting_brings_one_report() -> None:
    assert reports_after([LedCommand("ON", "a"), LedCommand("ON", "a")]) == [("ON", "a")]


def test_a_flood_is_bounded() -> None:
    flood = [LedCommand("ON", str(number)) for number in range(500)]
    assert len(reports_after(flood, count=100)) == 100
