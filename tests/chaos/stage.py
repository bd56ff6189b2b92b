"""One fault, one worker on real parts, devices that publish before, during and after it, and the count at the end."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from db.engine import DatabaseError
from tests.chaos.flow import Flow
from tests.chaos.staged_worker import BROKER_NAME
from tests.chaos.verdict import Verdict, judge, last_numbers, named_missing
from tests.ingest.worker import Worker
from tests.parts.eventually import eventually
from tests.parts.fleet import Fleet
from tests.parts.mariadb import MariaDB
from tests.parts.mosquitto import Mosquitto
from tests.parts.tap import Tap
from tests.parts.worker import WorkerProcess

#: A worker whose clock, disk, names and end are in the test's hands: see staged_worker.py.
STAGED = ("-m", "tests.chaos.staged_worker")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much. Times are seconds; `rate` is messages a second."""

    name: str
    messages: int
    devices: int
    rate: float
    #: How often what can be done several times is done.
    repeats: int
    #: Times are real, and the worker is `python -m ingest` with its own times. Else times are those of `Worker`.
    real: bool
    #: Longest wait for all to be stored in the end.
    patience_s: float


SMALL = Scale("small", messages=300, devices=6, rate=1000, repeats=1, real=False, patience_s=20)
FULL = Scale("full", messages=100_000, devices=20, rate=5000, repeats=8, real=True, patience_s=300)


@dataclass(frozen=True, slots=True)
class Fault:
    """What to break and how to heal it, and what that needs."""

    name: str
    #: Breaks, holds and heals, while messages flow.
    act: Callable[[Stage], None]
    #: What the worker must have said of it: proof that it met the fault.
    said: str = ""
    databases: tuple[str, ...] = ("sqlite", "mariadb")
    #: Its database server is not shared; with these options of mariadbd.
    own_server: bool = False
    server_settings: tuple[str, ...] = ()
    #: The broker may forget what it acknowledged.
    forgetful: bool = False
    #: The worker is a process even at small size, started so.
    program: tuple[str, ...] = ()
    prefix: Callable[[], tuple[str, ...]] = tuple
    #: The broker is reached by a name.
    named: bool = False


class Subject(Protocol):
    """The worker under test."""

    def start(self) -> None:
        """Start and wait until it is connected."""

    def stop(self) -> None:
        """Stop it in order."""

    def output(self) -> str:
        """All it has said."""


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"


class InProcess:
    """The service in a thread of this process, with short times."""

    def __init__(self, url: str, broker_url: str, root: str) -> None:
        self.worker = Worker(url, broker_url, root, name=root, keep_alive_s=1, heartbeat_s=2.0, lock_wait_s=1)
        self._lines, self._log = _Lines(), logging.getLogger("ingest")

    def start(self) -> None:
        self._log.addHandler(self._lines)
        self._log.setLevel(logging.INFO)
        self.worker.start()
        self.worker.connected()

    def stop(self) -> None:
        self.worker.stop()
        self.worker.database.dispose()
        self._log.removeHandler(self._lines)
        self._log.setLevel(logging.NOTSET)

    def output(self) -> str:
        return self._lines.text


class AsProcess:
    """`python -m ingest`, or a staged one, whose levers the test pulls."""

    def __init__(self, directory: Path, settings: dict[str, str], fault: Fault) -> None:
        self._levers = directory / "levers.json"
        self._values: dict[str, Any] = {"address": "127.0.0.2"}
        self.process = WorkerProcess(
            directory,
            settings | {"LEVERS": str(self._levers)},
            program=fault.program or ("-m", "ingest"),
            prefix=fault.prefix(),
        )
        self.pull()

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        if self.process.process.running:
            assert self.process.stop() == 0

    def output(self) -> str:
        return self.process.output()

    @property
    def pid(self) -> int:
        return self.process.process.pid

    @property
    def running(self) -> bool:
        return self.process.process.running

    def pull(self, **levers: object) -> None:
        """Change what the staged worker goes by: from its next start on, and in the one that runs at once."""
        self._values |= levers
        half = self._levers.with_suffix(".new")
        half.write_text(json.dumps(self._values))
        half.replace(self._levers)
        if self.running:
            os.kill(self.pid, signal.SIGUSR1)


@dataclass(slots=True)
class Stage:
    """The parts of one run."""

    fault: Fault
    scale: Scale
    directory: Path
    root: str
    url: str
    broker: Mosquitto
    fleet: Fleet
    worker: Subject
    server: MariaDB | None
    tap: Tap | None
    #: What a fault starts and the run needs until its end.
    parts: ExitStack
    flow: Flow = field(init=False)

    def __post_init__(self) -> None:
        self.flow = Flow(self.fleet, self.scale.patience_s)

    @property
    def mariadb(self) -> MariaDB:
        assert self.server is not None
        return self.server

    @property
    def process(self) -> AsProcess:
        assert isinstance(self.worker, AsProcess)
        return self.worker

    @property
    def wire(self) -> Tap:
        assert self.tap is not None
        return self.tap

    def hold(self, seconds: float) -> None:
        """Leave it broken for so long, at small size until the worker has noticed."""
        if self.scale.real:
            time.sleep(seconds)
        self.until_said()

    def until_said(self) -> None:
        """Wait until the worker has said what this fault makes it say."""
        words = self.fault.said
        eventually(lambda: words in self.worker.output(), self.scale.patience_s, what=f"the words {words!r}")

    def all_stored(self) -> bool:
        """Whether the last message of every device is there."""
        try:
            return last_numbers(self.url) == self.fleet.last_numbers()
        except DatabaseError:
            return False


@contextmanager
def staged(request: pytest.FixtureRequest, fault: Fault, database: str, scale: Scale) -> Iterator[Stage]:
    """Everything a run needs, nothing of it published yet, the worker not started."""
    directory: Path = request.getfixturevalue("part_directory")
    root: str = request.getfixturevalue("topic_root")
    with ExitStack() as stack:
        server: MariaDB | None = None
        url = f"sqlite:///{directory}/monitor/monitor.db"
        if database == "mariadb":
            server, url = _server(request, fault, directory, stack)
        (directory / "broker").mkdir()
        login = {"worker": "worker-password", "device": "device-password"}
        extra = ["max_queued_messages 1000000"]
        broker = stack.enter_context(Mosquitto(directory / "broker", users=login, extra=extra))
        tap = stack.enter_context(Tap(broker.port, host="127.0.0.2" if fault.named else "127.0.0.1"))
        host = BROKER_NAME if fault.named else "127.0.0.1"
        broker_url = f"mqtt://worker:worker-password@{host}:{tap.port}"
        worker: Subject
        if scale.real or fault.program or fault.prefix():
            settings = {"DATABASE_URL": url, "MQTT_URL": broker_url, "TOPIC_ROOT": root, "MQTT_CLIENT_ID": root}
            worker = AsProcess(directory, settings, fault)
        else:
            worker = InProcess(url, broker_url, root)
        stack.callback(worker.stop)
        fleet = stack.enter_context(
            Fleet(broker.port, root, devices=scale.devices, rate=scale.rate, login=("device", login["device"]))
        )
        stage = Stage(fault, scale, directory, root, url, broker, fleet, worker, server, tap, stack)
        stack.callback(stage.flow.abandon)
        yield stage


def _server(request: pytest.FixtureRequest, fault: Fault, directory: Path, stack: ExitStack) -> tuple[MariaDB, str]:
    if not fault.own_server:
        server: MariaDB = request.getfixturevalue("mariadb")
        return server, server.plain_url(request.getfixturevalue("mariadb_url"))
    (directory / "server").mkdir()
    own = MariaDB(directory / "server", request.getfixturevalue("mariadb_template"), settings=fault.server_settings)
    stack.enter_context(own)
    return own, own.plain_url(own.fresh_database())


def play(stage: Stage) -> Verdict:
    """Publish a quarter, half of it while the fault happens, and the rest; wait for the last; count."""
    scale, fleet = stage.scale, stage.fleet
    stage.worker.start()
    fleet.publish(scale.messages // 4)
    eventually(stage.all_stored, scale.patience_s, what="what came before the fault")
    stage.flow.begin(scale.messages // 2)
    stage.fault.act(stage)
    stage.flow.end()
    fleet.publish(max(0, scale.messages - len(fleet.sent) - len(fleet.devices)))
    fleet.publish_last()
    eventually(stage.all_stored, scale.patience_s, what="the last message of every device")
    stage.worker.stop()
    assert stage.fault.said in stage.worker.output()
    assert "Traceback" not in stage.worker.output()
    ours = stage.tap.acknowledged() if stage.tap is not None and stage.fault.forgetful else None
    verdict = judge(stage.url, fleet, ours)
    assert named_missing(stage.url, stage.root) == verdict.missing
    return verdict
