"""Who is woken by what happens on the board."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from api.command_watch import CommandWatch
from db.commands import Command, Step
from ingest.snapshot import Board, ReadingChange, Snapshot, StateChange, apply
from ingest.standing import with_commands

LED = Command("1", "kitchen", "led", "ON", "queued", "anna", "", 5, 60_005, (Step("queued", 5, ""),))
FAN = replace(LED, id="2", device="cellar", actuator="fan")


def test_only_those_are_woken_whom_it_concerns() -> None:
    async def watch() -> None:
        board = Board(Snapshot(1, 0, {}))
        watch = CommandWatch(board, threading.Event())

        async def woken() -> list[str]:
            await asyncio.sleep(0.02)  # calls from other threads have had their turn
            names = [name for name, event in events.items() if event.is_set()]
            for event in events.values():
                event.clear()
            return names

        with (
            watch.of_command("1") as one,
            watch.of_command("2") as two,
            watch.of_device("kitchen") as kitchen,
            watch.of_device("cellar") as cellar,
            watch.of_control() as control,
        ):
            events = {"1": one, "2": two, "kitchen": kitchen, "cellar": cellar, "control": control}
            board.update(lambda current: apply(current, [ReadingChange("kitchen", "t", 1, 1.0, 1)]))
            assert not watch._rung, "the loop has not even to look"
            assert await woken() == []
            board.update(lambda current: with_commands(current, [LED], 0))
            assert await woken() == ["1", "kitchen", "control"]
            board.update(lambda current: with_commands(current, [LED, FAN], 0))
            assert await woken() == ["2", "cellar", "control"]
            board.update(lambda current: apply(current, [StateChange("kitchen", "led", "ON", 9)]))
            assert await woken() == ["control"]
            board.update(lambda current: apply(current, [StateChange("kitchen", "led", "ON", 10)]))
            assert await woken() == [], "the same state again is no news"
            ended = replace(LED, status="confirmed", steps=(*LED.steps, Step("confirmed", 9, "")))
            board.update(lambda current: with_commands(current, [ended], 0))
            assert await woken() == ["1", "kitchen", "control"]
            board.update(lambda current: with_commands(current, [], 100))
            assert await woken() == ["1", "control"], "it is not shown any more"
        assert board._listeners == (), "nobody waits, nobody listens"

    asyncio.run(watch())


def test_the_end_of_the_server_wakes_all() -> None:
    async def watch() -> None:
        board, stopping = Board(Snapshot(1, 0, {})), threading.Event()
        watch = CommandWatch(board, stopping)
        with watch.of_command("1") as one, watch.of_device("kitchen") as kitchen, watch.of_control() as control:
            stopping.set()
            threading.Thread(target=board.notify).start()
            for event in (one, kitchen, control):
                await asyncio.wait_for(event.wait(), 5)

    asyncio.run(watch())
