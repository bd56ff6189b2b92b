"""Devices in software, for demo, load and tests: up to five thousand of them in one event loop."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import stat
from dataclasses import dataclass, field

from firmware.climate import places
from firmware.device import Clock, Device, DeviceSettings, Tally
from firmware.link import BrokerAddress, Crowd, Patience

MAX_DEVICES = 5_000
DEFAULT_PERIOD_S = 2.0
CLOCK_OFFSET_MS = 40
CLOCK_DRIFT_PPM = 15.0
#: Open files beside the devices' connections: the loop's own, the standard streams, libraries.
OTHER_FILES = 50


class StdinError(Exception):
    """Stdin is of a kind whose end cannot be waited for."""


class OpenFilesError(Exception):
    """This machine does not let a process have as many connections as there are devices."""


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """What to simulate. Times in seconds; `messages` ends the fleet once so many readings are acknowledged."""

    address: BrokerAddress
    root: str = "iot"
    count: int = 3
    period_s: float = DEFAULT_PERIOD_S
    messages: int | None = None
    seed: int | None = None
    led_delay_s: tuple[float, float] = (0.3, 1.2)
    ring_capacity: int = 2000
    patience: Patience = field(default_factory=Patience)

    @property
    def rate(self) -> float:
        """Telemetry messages a second, all devices together."""
        return self.count / self.period_s


def allow_connections(count: int) -> None:
    """Raise this process's limit of open files as far as it may, for `count` connections.

    Raises OpenFilesError if that is not enough.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise OpenFilesError(
            f"{count} devices need {needed} open files, and this machine allows a process {hard}. "
            f"Start at most {max(0, hard - OTHER_FILES)}, or raise the hard limit (ulimit -Hn {needed}, as root)."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def simulate(settings: FleetSettings, *, until_stdin_closes: bool = False) -> Tally:
    """Run the fleet until SIGINT, SIGTERM, the end of stdin if asked for, or `settings.messages`; returns the count.

    Raises StdinError when stdin is to be watched and is neither pipe, socket nor terminal.
    """
    return asyncio.run(_simulate(settings, until_stdin_closes))


async def run_fleet(settings: FleetSettings, stop: asyncio.Event) -> Tally:
    """Run the fleet until `stop` is set or all `settings.messages` are settled, then say goodbye for each device."""
    tally = Tally(settings.messages, stop.set)
    crowd = Crowd(settings.address)
    devices = [Device(each, tally, crowd, chance) for each, chance in _devices(settings)]
    async with asyncio.TaskGroup() as group:
        lives = [group.create_task(device.run(), name=device.name) for device in devices]
        await stop.wait()
        for life in lives:
            life.cancel()
    await asyncio.gather(*(device.close() for device in devices))
    return tally


async def _simulate(settings: FleetSettings, until_stdin_closes: bool) -> Tally:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    if not until_stdin_closes:
        return await run_fleet(settings, stop)
    transport = await _watch_stdin(stop)
    try:
        return await run_fleet(settings, stop)
    finally:
        transport.close()


class _StdinEnd(asyncio.Protocol):
    """Sets `stop` when the pipe ends; what is written into it is ignored."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, _exc: Exception | None) -> None:
        """The pipe ended, however."""
        self._stop.set()


async def _watch_stdin(stop: asyncio.Event) -> asyncio.ReadTransport:
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(0)):
        raise StdinError("stdin is no pipe, so its end cannot be waited for")
    stdin = os.fdopen(0, "rb", buffering=0, closefd=False)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: _StdinEnd(stop), stdin)
    return transport


def _devices(settings: FleetSettings) -> list[tuple[DeviceSettings, random.Random]]:
    """Each device's settings and its own chance, the same for the same seed (a boot is always new)."""
    chance = random.Random(settings.seed)
    return [
        (
            DeviceSettings(
                address=settings.address,
                root=settings.root,
                place=place,
                clock=Clock(
                    offset_ms=chance.randint(-CLOCK_OFFSET_MS, CLOCK_OFFSET_MS),
                    drift_ppm=chance.uniform(-CLOCK_DRIFT_PPM, CLOCK_DRIFT_PPM),
                ),
                period_s=settings.period_s,
                phase_s=settings.period_s * number / settings.count,
                led_delay_s=settings.led_delay_s,
                ring_capacity=settings.ring_capacity,
                patience=settings.patience,
            ),
            random.Random(chance.getrandbits(64)),
        )
        for number, place in enumerate(places(settings.count, chance))
    ]
