"""Simulated devices in a thread of this process, which keep a list of every reading they took."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from firmware import simulator
from firmware.device import Device, Tally
from firmware.link import BrokerAddress, Crowd, Patience
from firmware.messages import Sample
from firmware.sample_ring import SampleRing

_WITHIN_S = 10.0


class _RememberingRing(SampleRing):
    def __init__(self, capacity: int, taken: list[Sample]) -> None:
        super().__init__(capacity)
        self._taken = taken

    def append(self, sample: Sample) -> None:
        super().append(sample)
        self._taken.append(sample)


class _UntilTold(Tally):
    """Takes readings until it is told that these are enough."""

    def __init__(self) -> None:
        super().__init__(None, lambda: None)
        self.enough = False

    def take(self) -> bool:
        return not self.enough and super().take()


class SimulatedDevices:
    """`count` devices that take a reading each `period_s`, usable as a context manager. They stay after `finish`."""

    def __init__(self, url: str, root: str, *, count: int, period_s: float, ring: int = 2000) -> None:
        #: Every reading they took.
        self.taken: list[Sample] = []
        patience = Patience(0.02, 0.2)
        self._settings = simulator.FleetSettings(
            BrokerAddress.parse(url), root, count, period_s, seed=1, ring_capacity=ring, patience=patience
        )
        self._tally = _UntilTold()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="simulated", daemon=True)

    @property
    def acknowledged(self) -> int:
        """Readings that the broker has acknowledged to them."""
        return self._tally.acknowledged

    @property
    def lost(self) -> int:
        """Readings that left a ring unsent."""
        return self._tally.lost

    def finish(self) -> None:
        """Take no more readings; go on sending and answering."""
        self._tally.enough = True

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_WITHIN_S)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        crowd = Crowd(self._settings.address)
        devices = [Device(each, self._tally, crowd, chance) for each, chance in simulator._devices(self._settings)]
        for device in devices:
            device._ring = _RememberingRing(self._settings.ring_capacity, self.taken)
        self._ready.set()
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(device.run(), name=device.name) for device in devices]
            await self._stop.wait()
            for life in lives:
                life.cancel()
        await asyncio.gather(*(device.close() for device in devices))
