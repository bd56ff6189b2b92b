"""The embedded broker: rumqttd (package iotcore) as a child process, for trying out without installing anything.

It speaks MQTT 3.1.1 on one port (devices) and MQTT 5 on another (the ingest thread), on loopback only, and messages
pass between the two. It keeps everything in memory: what it holds is gone when it stops.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PORTS_TO_TRY = 100
START_ATTEMPTS = 5
CONFIG_NAME = "embedded-broker.toml"
PROJECT = Path(__file__).resolve().parent.parent

# rumqttd keeps a log of messages for each subscription filter, read or not: it grows to SEGMENTS x SEGMENT_BYTES
# (plus some 4 times that in overhead for small messages) and then forgets the oldest. This is how much a worker that
# is away may miss at most, and the most that the demo's memory may grow.
SEGMENT_BYTES = 2 << 20
SEGMENTS = 16
# Far above MAX_MESSAGE_BYTES: a message that is too large for us must still arrive, to become a dead letter.
LARGEST_MESSAGE_BYTES = 8 << 20
MAX_CONNECTIONS = 1000


class BrokerStartError(RuntimeError):
    """The embedded broker could not be started; the text says why."""


class _PortTakenError(Exception):
    """Someone took a port between our look and the broker's bind."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where the broker listens: one loopback address, two ports."""

    host: str
    mqtt_port: int
    mqtt5_port: int


class EmbeddedBroker:
    """A running rumqttd in its own session: Ctrl-C does not reach it, and it ends when this process ends, however.

    Made by `start`. Not thread-safe: one owner starts and stops it.
    """

    def __init__(self, process: subprocess.Popen[bytes], listeners: Listeners, config: Path) -> None:
        self._process = process
        self._listeners = listeners
        self._config = config

    @classmethod
    def start(
        cls, directory: Path, host: str = "127.0.0.1", port: int = 1883, timeout_s: float = 10.0
    ) -> EmbeddedBroker:
        """Start the broker and return once both of its ports listen.

        `directory` must exist and gets the config file. `port` is the wish for MQTT 3.1.1: the next free one is taken
        if it is in use, any free one for 0. Raises BrokerStartError when it cannot be started, ValueError when `host`
        is not a loopback address.
        """
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the embedded broker has no passwords and listens on loopback only, not on {host}")
        deadline = time.monotonic() + timeout_s
        reason = ""
        for _ in range(START_ATTEMPTS):
            listeners = Listeners(host, free_port(host, port), free_port(host, 0))
            try:
                config = write_config(directory, listeners)
                return cls(_launch(config, deadline), listeners, config)
            except _PortTakenError as error:
                reason = str(error)
            except OSError as error:
                raise BrokerStartError(f"the embedded broker could not be started: {error}") from error
        raise BrokerStartError(f"the embedded broker could not bind its ports, {START_ATTEMPTS} times: {reason}")

    @property
    def mqtt_url(self) -> str:
        """Address for devices, MQTT 3.1.1."""
        return f"mqtt://{_authority(self._listeners.host, self._listeners.mqtt_port)}"

    @property
    def mqtt5_url(self) -> str:
        """Address for the ingest thread, MQTT 5 only."""
        return f"mqtt://{_authority(self._listeners.host, self._listeners.mqtt5_port)}"

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child still lives."""
        return self._process.poll() is None

    def restart(self, timeout_s: float = 10.0) -> None:
        """Start the child anew on the same ports; everything it held is gone. Raises BrokerStartError."""
        self.stop()
        try:
            self._process = _launch(self._config, time.monotonic() + timeout_s)
        except (_PortTakenError, OSError) as error:
            raise BrokerStartError(f"the embedded broker could not be started again: {error}") from error

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the child: ask by closing its stdin, kill it after `timeout_s`. May be called again."""
        _end(self._process, timeout_s)


def free_port(host: str, wish: int) -> int:
    """A port that can be bound on `host` now: `wish` or the next free one after it, any for 0.

    Raises BrokerStartError when none of the next PORTS_TO_TRY is free.
    """
    reason: OSError | None = None
    last = min(wish + PORTS_TO_TRY, 65536)
    for port in range(wish, last) if wish else (0,):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = error
                continue
            return int(probe.getsockname()[1])
    raise BrokerStartError(f"no free port for the embedded broker on {host} from {wish} to {last - 1}: {reason}")


def config_text(listeners: Listeners) -> str:
    """The rumqttd configuration, as TOML, for these listeners."""
    return f"""\
# Written anew at each start of the embedded broker.
id = 0

[router]
id = 0
max_connections = {MAX_CONNECTIONS}
max_outgoing_packet_count = 1000
max_segment_size = {SEGMENT_BYTES}
max_segment_count = {SEGMENTS}

{_listener_text("v4", listeners.host, listeners.mqtt_port)}
{_listener_text("v5", listeners.host, listeners.mqtt5_port)}"""


def _listener_text(section: str, host: str, port: int) -> str:
    return f"""\
[{section}.1]
name = "{section}-1"
listen = "{_authority(host, port)}"
next_connection_delay_ms = 0

[{section}.1.connections]
connection_timeout_ms = 10000
max_payload_size = {LARGEST_MESSAGE_BYTES}
max_inflight_count = 1000
"""


def write_config(directory: Path, listeners: Listeners) -> Path:
    """Write the configuration into `directory`; returns its absolute path. Raises OSError."""
    path = directory.resolve() / CONFIG_NAME
    path.write_text(config_text(listeners), encoding="utf-8")
    return path


def _launch(config: Path, deadline: float) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "broker.embedded_child", str(config)],
        cwd=PROJECT,  # so that the child finds this package wherever the parent was started
        stdin=subprocess.PIPE,  # held open: the child ends when it closes, even by a kill -9 of this process
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _wait_until_ready(process, deadline)
    except BaseException:
        _end(process, timeout_s=1.0)
        raise
    if process.stdout is not None:
        process.stdout.close()
    return process


def _wait_until_ready(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait for the child's one line: ready, taken, or failed with a reason."""
    word, _, rest = _first_line(process, deadline).partition(" ")
    if word == "taken":
        raise _PortTakenError(rest)
    if word != "ready":
        raise BrokerStartError(f"the embedded broker could not be started: {rest or _ending(process)}")


def _first_line(process: subprocess.Popen[bytes], deadline: float) -> str:
    if process.stdout is None:
        raise BrokerStartError("the embedded broker was started without a pipe to hear from it")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise BrokerStartError("the embedded broker did not listen in time; the machine may be overloaded")
    return process.stdout.readline().decode("utf-8", "replace").strip()


def _ending(process: subprocess.Popen[bytes]) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
    return f"it ended with exit status {process.poll()} before it listened"


def _end(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
