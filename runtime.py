"""The one object a process has: settings, engine, doors, worker; beside them the embedded broker and the demo devices.

`get_runtime()` is cached by Streamlit, so pages, API and the server's lifespan all get the same one; *Clear cache* ends
it, and whoever asks next starts the next one.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Protocol

import streamlit as st

import settings as settings_module
from broker.connection import Endpoint
from broker.doctor.examination import examine
from broker.doctor.finding import Finding
from broker.dynamic_security import Administrator
from broker.embedded import BrokerStartError, EmbeddedBroker
from broker.logins import CA_NAME, DeviceLogins
from broker.paste import Reach
from db import commands, data_folder, migrations, passwords
from db import engine as database
from db.commands import Command
from db.doors import Actor, Doors
from db.size_watch import SizeWatch
from ingest import heap
from ingest.follower import Follower, FollowerSettings
from ingest.health import Health
from ingest.http_readings import HttpReadings
from ingest.patience import Backoff, Stopped, until_it_works
from ingest.service import Service
from ingest.snapshot import Board, Snapshot
from ingest.vitals import Vitals, now_ms
from ingest.worker import make_http_readings, make_service
from settings import MqttAddress, Settings, SettingsError, mask_password, parse_mqtt_url, secret_key

log = logging.getLogger(__name__)

_PROJECT: Final = Path(__file__).parent
#: How long the worker goes on taking what the embedded broker holds, which is lost when that stops.
_DRAIN_S: Final = 1.5
_CHILD_STOP_S: Final = 1.0
#: A child that died is started again after this.
_LOOK_AFTER_S: Final = 1.0
_LONGEST_LOOK_S: Final = 60.0
_FIRST_LOOK_S: Final = 0.1
#: How long a thread waits for one that computes. A request passes several threads: with Python's own 5 ms at each, an
#: answer beside a busy worker took 8 to 13 ms instead of 3.
TURN_S: Final = 0.001
_PORTER: Final = Backoff(0.1, 1.0)
_PORTER_S: Final = 0.5
_OTHER_KEY: Final = (
    "SECRET_KEY is not the one that the audit log was begun with. If several servers use this database, give all of "
    "them the same; if it was lost, type: .venv/bin/python -m db audit begin. Readings are not concerned."
)


class StartError(Exception):
    """The server can't start. The text is for a person: what is wrong and what to do."""


class Worker(Protocol):
    """What runs in this process: the ingest service, or with INGEST=off the follower."""

    def start(self) -> None:
        """Start its threads."""

    def stop(self, drain_s: float = 0.0, timeout_s: float = 5.0) -> None:
        """End its threads."""

    def health(self) -> Health:
        """How it is."""

    def nudge_commands(self) -> None:
        """A command was made, or handed over: look at once, if sending is its work."""


@dataclass(slots=True)
class Runtime:
    """All that one server process shares. Made by `start_runtime`, ended by `stop`."""

    settings: Settings
    engine: database.Engine
    doors: Doors
    board: Board
    http_readings: HttpReadings
    sizes: SizeWatch
    device_address: MqttAddress
    stopping: threading.Event
    _worker: Worker
    _broker: EmbeddedBroker | None
    _lock: IO[str]
    _demo: subprocess.Popen[bytes] | None = None
    _caretaker: threading.Thread | None = None
    _porter: threading.Thread | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    #: Who makes devices' logins at the broker; None where MQTT_ADMIN_USER is not set, or the broker is embedded.
    logins: DeviceLogins | None = None

    def health(self) -> Health:
        """How the worker, the broker and the database are, from memory."""
        return self.http_readings.joined_to(self._worker.health())

    def order(self, actor: Actor, device: str, actuator: str, order: str | float) -> Command:
        """Ask an actuator for a state (ON, OFF, TOGGLE or a number) by somebody who may, and have it sent.

        Raises UnknownTarget, BadState, TooMany, DatabaseAway.
        """
        key, deadline_ms = self.doors.key("audit"), self.settings.command_deadline_s * 1000

        def request(connection: database.Connection) -> Command:
            return commands.request(
                connection, key, device, actuator, order, by=actor, at=now_ms(), deadline_ms=deadline_ms
            )

        command = database.write(self.engine, request)
        self.nudge_commands()
        return command

    def nudge_commands(self) -> None:
        """Have the dispatcher look at once, where it is in this process; elsewhere it looks often."""
        self._worker.nudge_commands()

    def examine_broker(self, seconds: float) -> tuple[Finding, ...]:
        """Have the doctor look at the broker for so many seconds. There is nothing to look at in the embedded one."""
        if self._broker is not None:
            return ()
        settings, to = self.settings, self.device_address
        password = None if to.password is None else to.password.get_secret_value()
        endpoint = Endpoint(
            to.host, to.port, to.username, password, to.tls,
            settings.mqtt_ca_file, settings.mqtt_cert_file, settings.mqtt_key_file,
        )  # fmt: skip
        return examine(endpoint, settings.topic_root, seconds)

    def announce_stop(self) -> None:
        """Tell open streams that the server is about to end. Quick; called from a signal handler."""
        self.stopping.set()
        self.board.notify()

    def start(self) -> None:
        """Start the worker, what takes readings by HTTP, the demo devices, and the threads that look after the rest."""
        self._worker.start()
        self.http_readings.start()
        self._porter = threading.Thread(target=self._open_doors, name="porter", daemon=True)
        self._porter.start()
        self._caretaker = threading.Thread(target=self._look_after_children, name="caretaker", daemon=True)
        self._caretaker.start()

    def stop(self) -> None:
        """End demo devices, worker, broker, in this order, so that nothing received is lost. Harmless twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self.announce_stop()
        if self._caretaker is not None:
            self._caretaker.join()
        _end_child(self._demo)
        self.http_readings.stop(timeout_s=0.5)
        self._worker.stop(_DRAIN_S if self._broker is not None else 0.0, timeout_s=2.5)
        if self._broker is not None:
            self._broker.stop()
        if self._porter is not None:
            self._porter.join(_PORTER_S)  # a database that is frozen may hold it
        self.doors.close()
        self.sizes.close()
        self.engine.dispose()
        self._lock.close()

    def _open_doors(self) -> None:
        """Make the first admin once the tables are there, and say then, and never again, how to log in."""

        def away(error: Exception) -> None:
            log.debug("Nobody can log in yet: %s", error)  # the worker says that the database is away

        given = self.settings.admin_password
        password = None if given is None else given.get_secret_value()
        try:
            made = until_it_works(
                lambda: self._first_admin(password), database.DatabaseError, _PORTER, self.stopping, away
            )
            if made is not None:
                _say_login(self.settings, None if given is not None else made)
            if not until_it_works(self.doors.audit_key_fits, database.DatabaseError, _PORTER, self.stopping, away):
                log.error("%s", _OTHER_KEY)
        except Stopped:
            log.debug("Stopped before the database was there.")

    def _first_admin(self, password: str | None) -> str | None:
        """All tables first: among half of them an admin could be refused for a row that was just being made."""
        migrations.apply(self.engine)
        return self.doors.first_admin(password)

    def _look_after_children(self) -> None:
        pause = _FIRST_LOOK_S
        while not self._ended.wait(pause):
            try:
                trouble = self._restart_broker() or self._restart_demo()
            except (BrokerStartError, OSError) as error:
                log.warning("%s", error)
                trouble = True
            if trouble:  # a child that can't live is tried less and less often
                pause = min(max(pause * 2, _LOOK_AFTER_S), _LONGEST_LOOK_S)
            else:
                pause = _LOOK_AFTER_S if self._demo is not None or not self._wants_demo() else _FIRST_LOOK_S

    def _restart_broker(self) -> bool:
        """Start the embedded broker again if it ended; whether it had."""
        if self._broker is None or self._broker.running:
            return False
        log.warning("The embedded broker ended by itself; starting it again. What it held is gone.")
        self._broker.restart()
        return True

    def _restart_demo(self) -> bool:
        """Start the demo devices if it is time, and again if they ended; whether they had."""
        if self._demo is None:
            # Before the worker has subscribed, a broker has nobody to keep the devices' messages for.
            if self._wants_demo() and self._worker.health().broker.state == "connected":
                self._start_demo()
            return False
        if self._demo.poll() is None:
            return False
        log.warning("The demo devices ended by themselves; starting them again.")
        _end_child(self._demo)
        self._start_demo()
        return True

    def _wants_demo(self) -> bool:
        return self.settings.demo_device_count > 0

    def _start_demo(self) -> None:
        address = self.settings.mqtt_url.get_secret_value() if self.settings.mqtt_url else str(self.device_address)
        root = self.settings.topic_root.replace("+", "demo")
        command = [sys.executable, "-m", "firmware", "simulate", "--count", str(self.settings.demo_device_count)]
        self._demo = subprocess.Popen(
            [*command, "--root", root, "--until-stdin-closes"],
            cwd=_PROJECT,
            env={**os.environ, "MQTT_URL": address},  # not an argument: it may hold a password
            stdin=subprocess.PIPE,  # held open: the devices end when it closes, even by a kill -9 of this process
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the server alone, which ends them in its own order
        )


@st.cache_resource(show_spinner=False, on_release=Runtime.stop)
def get_runtime() -> Runtime:
    """The runtime of this process, started when it is first asked for.

    Raises:
        StartError, SettingsError: If it can't be started.
    """
    return start_runtime(settings_module.load())


def start_runtime(settings: Settings) -> Runtime:
    """Start everything a server process has. Waits neither for the database nor for a broker elsewhere.

    Raises:
        StartError: If the data folder or the embedded broker is not to be had, or ADMIN_PASSWORD can't be used,
            or there is no SECRET_KEY.
    """
    warn_without_effect(settings)
    _check_admin_password(settings)
    try:
        lock = data_folder.hold(settings.data_dir)
    except data_folder.FolderRefused as error:
        raise StartError(str(error)) from error
    embedded: EmbeddedBroker | None = None
    try:
        secret = secret_key(settings)
        engine = database.create(settings.database)
        if settings.broker is None:
            embedded = EmbeddedBroker.start(settings.data_dir)
    except (SettingsError, BrokerStartError, database.DatabaseAway) as error:
        lock.close()
        raise StartError(str(error)) from error
    doors = Doors(engine, secret, session_days=settings.session_days)
    device_address = settings.broker or parse_mqtt_url(embedded.mqtt_url if embedded else "")
    (settings.data_dir / "mqtt_url").write_text(f"{device_address}\n", encoding="utf-8")
    board = Board(Snapshot(now_ms(), 0, {}))
    vitals = Vitals(str(device_address), mask_password(settings.database), embedded=embedded is not None)
    worker = _worker(settings, engine, embedded, device_address, board, vitals, doors.key("audit"))
    taking = make_http_readings(settings, engine, board, vitals, worker.nudge_commands)
    heap.settle()
    sys.setswitchinterval(TURN_S)
    sizes, stopping = SizeWatch(engine), threading.Event()
    runtime = Runtime(settings, engine, doors, board, taking, sizes, device_address, stopping, worker, embedded, lock)
    runtime.logins = device_logins(settings)
    runtime.start()
    return runtime


def device_logins(settings: Settings) -> DeviceLogins | None:
    """Who makes devices' logins, None where the settings name no administrator of a broker."""
    broker, reach, password = settings.broker, settings.device_broker, settings.mqtt_admin_password
    if broker is None or reach is None or settings.mqtt_admin_user is None or password is None:
        return None
    login = Administrator(
        broker.host,
        broker.port,
        settings.mqtt_admin_user,
        password.get_secret_value(),
        tls=broker.tls,
        ca_file=settings.mqtt_ca_file,
    )
    ca_file = settings.device_ca_file
    named = None if ca_file is None else Path(CA_NAME)
    plain = settings.plain_broker
    logins = DeviceLogins(
        login,
        Reach(reach.host, reach.port, reach.tls, named, settings.topic_root),
        ca_file,
        None if plain is None else Reach(plain.host, plain.port, tls=False, root=settings.topic_root),
    )
    if ca_file is not None and logins.certificate() is None:
        log.warning("%s can't be read by this server: it can't show devices what they know the broker by.", ca_file)
    return logins


def _check_admin_password(settings: Settings) -> None:
    given = settings.admin_password
    problem = None if given is None else passwords.problem(given.get_secret_value(), "admin")
    if problem is not None:
        raise StartError(f"ADMIN_PASSWORD: *** can't be used. {problem}")


def _say_login(settings: Settings, password: str | None) -> None:
    """On the terminal, never in a log. `password` None: the one that ADMIN_PASSWORD has."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104  # to name it, not to listen
    what = "the password that ADMIN_PASSWORD has" if password is None else f"the password {password}"
    again = (
        ""
        if password is None
        else "\n  It is shown this once. For another one: .venv/bin/python -m db users reset admin"
    )
    sys.stdout.write(f"\n  Log in at http://{host}:{settings.port}{settings.base_path} as admin with {what}{again}\n\n")
    sys.stdout.flush()


def _worker(
    settings: Settings,
    engine: database.Engine,
    embedded: EmbeddedBroker | None,
    address: MqttAddress,
    board: Board,
    vitals: Vitals,
    audit_key: bytes,
) -> Service | Follower:
    if settings.ingest == "off":
        return Follower(engine, FollowerSettings(audit_key=audit_key), board, vitals)
    if embedded is None:
        return make_service(settings, engine, address, board, vitals, audit_key)
    mqtt5 = parse_mqtt_url(embedded.mqtt5_url)
    return make_service(settings, engine, mqtt5, board, vitals, audit_key, devices=address)


def _end_child(child: subprocess.Popen[bytes] | None) -> None:
    """Close a child's stdin, which ends it; kill it if it does not listen."""
    if child is None:
        return
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_CHILD_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def warn_without_effect(settings: Settings) -> None:
    """Say which settings somebody set in vain, or with less effect than they may think."""
    for sentence in settings.without_effect():
        log.warning("%s", sentence)
    if settings.ingest == "thread" and settings.mqtt_share_group is not None:
        log.warning(
            "Live shows only what this server's own worker takes of the group %s. "
            "Run the workers apart (python -m ingest) and set INGEST=off here to see all of it.",
            settings.mqtt_share_group,
        )


__all__ = ["Runtime", "SettingsError", "StartError", "get_runtime", "start_runtime"]
