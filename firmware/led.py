"""A simulated LED that obeys commands as slowly as a person notices, each id once."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from random import Random

from firmware.messages import LedCommand, LedState

logger = logging.getLogger("simulator")

WAITING_LIMIT = 100
IDS_REMEMBERED = 1000


class Led:
    """`ask` takes commands, `obey` carries them out one after another and calls `report` after each."""

    def __init__(
        self,
        now_ms: Callable[[], int],
        delay_s: tuple[float, float],
        random: Random,
        report: Callable[[], None],
    ) -> None:
        self.state: LedState = "OFF"
        self.caused_by: str | None = None  # id of the command reported with the state
        self._now_ms = now_ms
        self._delay_s = delay_s
        self._random = random
        self._report = report
        self._waiting: asyncio.Queue[LedCommand] = asyncio.Queue(WAITING_LIMIT)
        self._known: OrderedDict[str, bool] = OrderedDict()  # id -> whether it was carried out

    def ask(self, command: LedCommand) -> None:
        """Take a command. A repeated id is answered with the state as it is, and not carried out again."""
        if command.id is not None and command.id in self._known:
            if self._known[command.id]:
                self.caused_by = command.id
                self._report()
            return
        if self._waiting.full():
            logger.warning("led: %d commands wait already, one more is ignored", WAITING_LIMIT)
            return
        if command.id is not None:
            self._remember(command.id, done=False)
        self._waiting.put_nowait(command)

    async def obey(self) -> None:
        """Carry out commands until cancelled. One that has expired when its turn comes is ignored."""
        while True:
            command = await self._waiting.get()
            if command.expires is not None and command.expires <= self._now_ms():
                logger.info("led: a command came too late and is ignored")
                continue
            await asyncio.sleep(self._random.uniform(*self._delay_s))
            self.state = command.state
            self.caused_by = command.id
            if command.id is not None:
                self._remember(command.id, done=True)
            self._report()

    def _remember(self, command_id: str, *, done: bool) -> None:
        self._known[command_id] = done
        while len(self._known) > IDS_REMEMBERED:
            self._known.popitem(last=False)
