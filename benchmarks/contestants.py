"""Who is measured: each takes a backlog out of a broker, and says how fast."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import peers, processes, progress, publisher, telemetry
from benchmarks.viewers import Viewers
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.process import PartFailedError, Process, find_program
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess

DEVICES: Final = 100
_ROOT: Final = Path(__file__).parents[1]
_VIEWERS: Final = 20
#: Folding the account of thousands of devices takes a while.
_STOP_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Setting:
    """One run's parts: a broker of its own, the shared database server, an empty directory, how many messages."""

    broker: Mosquitto
    server: MariaDB
    directory: Path
    messages: int
    devices: int = DEVICES
    #: UTC ms of the first message; None: just now.
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What one run showed. CPU in seconds over the whole run; `peak_mb` is resident memory at most.

    `batch`: messages a transaction; `requests`: in ms by name.
    """

    messages: int
    rate: float
    own_cpu_s: float = 0.0
    broker_cpu_s: float = 0.0
    database_cpu_s: float = 0.0
    peak_mb: float = 0.0
    batch: float = 0.0
    requests: Mapping[str, list[float]] | None = None


class NotObtainable(Exception):
    """This contestant can't take part here. The text says why."""


Contestant = Callable[[Setting], Run]


def fill(setting: Setting) -> None:
    """Put the backlog into the broker."""
    start = setting.start if setting.start is not None else telemetry.just_now()
    sent = publisher.fill(setting.broker.port, telemetry.messages(setting.messages, setting.devices, start))
    if sent != setting.messages:
        raise RuntimeError(f"the broker acknowledged {sent} of {setting.messages} messages")


@contextmanager
def refused_settings() -> Iterator[None]:
    """Turn a worker that refuses its settings into NotObtainable."""
    try:
        yield
    except PartFailedError as error:
        if "not supported" not in str(error):
            raise
        raise NotObtainable("this version refuses the setting") from error


# Our own


def worker(
    setting: Setting, *, database_url: str | None = None, extra: Mapping[str, str] | None = None, workers: int = 1
) -> Run:
    """`python -m ingest`, one or more, with everything on."""
    url = database_url or setting.server.fresh_database()
    ours = [_worker(setting, url, dict(extra or {}), number) for number in range(workers)]
    with refused_settings():
        for one in ours:
            one.start()
            one.stop()
    fill(setting)
    before = _others(setting)
    with ExitStack() as stack, stored(url, setting.messages) as count:
        began = time.monotonic()
        for one in ours:
            one.process.start()
            stack.callback(one.process.stop, seconds=_STOP_S)
        seen = progress.watch(count, setting.messages, began)
        used = [processes.usage(one.process.pid) for one in ours]
        after = _others(setting)
    return Run(
        seen.messages,
        seen.rate,
        sum(one.cpu_s for one in used),
        after[0] - before[0],
        after[1] - before[1],
        peak_mb=max(one.peak_mb for one in used),
        batch=_batch_size(url, setting.messages),
    )


def sqlite(setting: Setting) -> Run:
    """The same worker on SQLite."""
    return worker(setting, database_url=f"sqlite:///{setting.directory}/monitor.db")


def worker_311(setting: Setting) -> Run:
    """The same worker where the broker speaks only MQTT 3.1.1."""
    return worker(setting, extra={"MQTT_PROTOCOL": "3.1.1"})


def two_workers(setting: Setting) -> Run:
    """Two processes that share the telemetry."""
    return worker(setting, extra={"MQTT_SHARE_GROUP": "bench"}, workers=2)


def in_the_web_process(setting: Setting) -> Run:
    """The worker as the thread inside the server, while 20 viewers follow Live and somebody asks for pages."""
    url = setting.server.fresh_database()
    server = Server(setting.directory, {"MQTT_URL": setting.broker.url, "DATABASE_URL": url, "MQTT_CLIENT_ID": "bench"})
    server.start()
    server.process.wait_until(lambda: server.get("/api/health/").status_code == 200)
    server.stop()
    fill(setting)
    before = _others(setting)
    with stored(url, setting.messages) as count, server, Viewers(server.url, _VIEWERS, url) as viewers:
        seen = progress.watch(count, setting.messages, time.monotonic())
        used = processes.usage(server.process.pid)
        after = _others(setting)
        requests = viewers.requests()
    return Run(
        seen.messages,
        seen.rate,
        used.cpu_s,
        after[0] - before[0],
        after[1] - before[1],
        peak_mb=used.peak_mb,
        requests=requests,
    )


def _worker(setting: Setting, url: str, extra: dict[str, str], number: int) -> WorkerProcess:
    directory = setting.directory / f"worker-{number}"
    directory.mkdir()
    settings = {
        "MQTT_URL": setting.broker.url,
        "DATABASE_URL": url,
        "MQTT_CLIENT_ID": f"bench-{number}",
        "DATA_DIR": str(directory),
    }
    return WorkerProcess(directory, settings | extra)


def _others(setting: Setting) -> tuple[float, float]:
    """CPU seconds of broker and database server so far."""
    return processes.usage(setting.broker.process.pid).cpu_s, processes.usage(setting.server.process.pid).cpu_s


@contextmanager
def stored(url: str, messages: int) -> Iterator[Callable[[], int]]:
    """Counts what the account settles from here on. In the end each message must have left two new readings."""
    with progress.counter(url, progress.ACCOUNT) as settled, progress.counter(url, progress.READINGS) as readings:
        before, readings_before = settled(), readings()
        yield lambda: settled() - before
        found = readings() - readings_before
    if found != 2 * messages:
        raise RuntimeError(f"{found} readings were stored, {2 * messages} were sent")


def _batch_size(url: str, messages: int) -> float:
    """Messages a transaction: batches are numbered from 1 on at each start, so the newest number tells how many."""
    with progress.counter(url, "SELECT MAX(number) FROM batches") as newest:
        return messages / max(1, newest())


# Others that only receive


def mosquitto_sub(setting: Setting) -> Run:
    """Mosquitto's own client in C, which throws away what it gets. Timed from its start to its end."""
    program = find_program("mosquitto_sub", package="mosquitto-clients")
    command = [program, "-p", str(setting.broker.port), "-q", "1", "-c", "-i", "bench", "-t", "iot/#"]
    subscribed = Process(command, log=setting.directory / "sub.log")
    subscribed.start()
    peers.wait_until_subscribed(subscribed, setting.broker)
    subscribed.stop()
    fill(setting)
    broker = _others(setting)[0]
    began = time.monotonic()
    subprocess.run([*command, "-C", str(setting.messages)], stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - began
    return Run(setting.messages, setting.messages / seconds, broker_cpu_s=_others(setting)[0] - broker)


def paho(setting: Setting, protocol: str) -> Run:
    """Paho whose on_message counts and does nothing else. It times itself, from its first message to its last."""
    command = [sys.executable, str(_ROOT / "benchmarks/baselines/paho_counts.py"), str(setting.broker.port), protocol]
    subprocess.run([*command, "0"], check=True, capture_output=True)
    fill(setting)
    broker = _others(setting)[0]
    done = subprocess.run([*command, str(setting.messages)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return Run(setting.messages, found["rate"], found["cpu_s"], _others(setting)[0] - broker)


def paho_311(setting: Setting) -> Run:
    """paho, MQTT 3.1.1."""
    return paho(setting, "3.1.1")


def paho_5(setting: Setting) -> Run:
    """paho, MQTT 5."""
    return paho(setting, "5")


# Others that store


def stores(setting: Setting, start: Callable[[str], Process], table: str) -> Run:
    """A peer that stores a row a message in `table`: subscribe once, stop, fill, start, watch the table grow."""
    url = setting.server.fresh_database()
    peer = start(url)
    peers.wait_until_subscribed(peer, setting.broker)
    peer.stop()
    fill(setting)
    before = _others(setting)
    with progress.counter(url, f"SELECT COALESCE(MAX(id), 0) FROM {table}") as count:
        began = time.monotonic()
        peer.start()
        try:
            seen = progress.watch(count, setting.messages, began)
            used, after = processes.usage(peer.pid), _others(setting)
        finally:
            peer.stop()
    return Run(seen.messages, seen.rate, used.cpu_s, after[0] - before[0], after[1] - before[1], peak_mb=used.peak_mb)


def django(setting: Setting) -> Run:
    """One Django ORM insert a message, as the original did it."""
    small = replace(setting, messages=max(1, setting.messages // 15))
    return stores(small, lambda url: peers.django(small.directory, small.broker.port, url), peers.TABLE)


def node_red(setting: Setting) -> Run:
    """Node-RED: mqtt in, function, mysql."""
    small = replace(setting, messages=max(1, setting.messages // 6))
    return stores(small, lambda url: peers.node_red(small.directory, small.broker.port, url), peers.TABLE)
