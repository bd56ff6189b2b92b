"""The boards' MQTT client on MicroPython, against Mosquitto and against brokers that mean no good."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.broker.mqtt5_client import Mqtt5Client
from tests.parts.eventually import eventually
from tests.parts.micropython import ESP8266_HEAP, SCRIPTS, command, environment
from tests.parts.mosquitto import Mosquitto

#: The longest that anything may hold a board up, in ms.
LONGEST_GAP_MS: Final = 250


@dataclass(frozen=True, slots=True)
class Talk:
    """What a board's client did."""

    acknowledged: int
    longest_gap_ms: int
    reconnects: int
    skipped: int
    lines: list[str]

    @property
    def got(self) -> list[str]:
        return [line[4:] for line in self.lines if line.startswith("got ")]


class Heart:
    """Measures for how long the machine itself held this process up meanwhile."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        while not self._end.is_set():
            before = time.monotonic()
            self._end.wait(0.005)
            self.longest_ms = max(self.longest_ms, (time.monotonic() - before) * 1000 - 5)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


class Talking:
    """A client that runs, in a directory of its own; `end` waits for its end."""

    def __init__(self, directory: Path, port: int, root: str, sizes: list[int], **settings: Any) -> None:
        given = {"mqtt_port": port, "root": root, "device": "kitchen", "sizes": sizes} | settings
        settings_file, self._log = directory / "settings", directory / "talk.log"
        settings_file.write_text(json.dumps(given))
        self._heart = Heart()
        self._heart.__enter__()
        with settings_file.open("rb") as stdin, self._log.open("wb") as stdout:
            self._process = subprocess.Popen(
                # Three times the heap: there it compiles its own source.
                command(SCRIPTS / "talk.py", heap=ESP8266_HEAP * 3),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                env=environment(more={"BOARD": str(directory)}),
            )

    def said(self, line: str) -> bool:
        """Whether it has said that."""
        return line in self._log.read_text().splitlines()

    def kill(self) -> None:
        """End it, if it has not ended."""
        with self._process as process:
            process.kill()
        self._heart.__exit__()

    def end(self, seconds: float = 20) -> Talk:
        """Its account; fails with its words if it failed, or was held up longer than the machine itself was."""
        try:
            self._process.wait(seconds)
        finally:
            self.kill()
        told = self._log.read_text()
        lines = told.splitlines()
        assert lines, "it said nothing"
        assert lines[-1].startswith("end "), told
        acknowledged, gap, reconnects, skipped = (int(word) for word in lines[-1].split()[1:])
        assert gap <= LONGEST_GAP_MS + self._heart.longest_ms, f"held up for {gap} ms\n{told}"
        return Talk(acknowledged, gap, reconnects, skipped, lines)


@pytest.fixture
def talk(tmp_path: Path, topic_root: str) -> Iterator[Callable[..., Talking]]:
    """Starts clients under this test's root; they end with the test."""
    running: list[Talking] = []

    def start(port: int, sizes: list[int], **settings: Any) -> Talking:
        running.append(Talking(tmp_path, port, topic_root, sizes, **settings))
        return running[-1]

    yield start
    for each in running:
        each.kill()


def test_every_length_of_a_packet_arrives(mosquitto: Mosquitto, topic_root: str, talk: Callable[..., Talking]) -> None:
    listener = Mqtt5Client(mosquitto.url, f"l-{topic_root}")
    listener.subscribe(f"{topic_root}/kitchen/telemetry")
    overhead = 2 + len(f"{topic_root}/kitchen/telemetry") + 2
    sizes = [0, 1, *(127 - overhead + step for step in (-1, 0, 1, 2)), 255, 256, 257, 590]
    assert talk(mosquitto.port, sizes).end().acknowledged == len(sizes)
    arrived = []
    for _ in sizes:
        packet = listener.receive()
        assert packet is not None
        listener.acknowledge(packet)
        arrived.append(packet.payload)
    assert [len(payload) for payload in arrived] == sizes
    assert all(payload == bytes([0x61 + number]) * len(payload) for number, payload in enumerate(arrived))
    listener.drop()


def test_commands_of_one_and_a_half_kilobytes_come_and_larger_ones_stream_past(
    mosquitto: Mosquitto, topic_root: str, talk: Callable[..., Talking]
) -> None:
    # Its session outlives it, so what is said while it is away waits for it.
    assert talk(mosquitto.port, [1]).end().acknowledged == 1
    topic = f"{topic_root}/kitchen/led/set"
    for size in (1, 60, 1_500, 1_600, 20_000, 300_000, 1_500):
        mosquitto.publish(topic, b"x" * size)
    done = talk(mosquitto.port, [1], messages=5).end()
    assert [int(line.split()[1]) for line in done.got] == [1, 60, 1_500, 1_600, 1_500]
    assert done.skipped == 2
    again = talk(mosquitto.port, [1]).end()
    assert again.got == [], "each was acknowledged, those that were too large as well"


def test_a_message_that_there_is_no_room_to_understand_costs_only_itself(
    mosquitto: Mosquitto, topic_root: str, talk: Callable[..., Talking]
) -> None:
    assert talk(mosquitto.port, [1]).end().acknowledged == 1
    for size in (60, 1_500, 61):
        mosquitto.publish(f"{topic_root}/kitchen/led/set", b"x" * size)
    done = talk(mosquitto.port, [1], messages=3, no_room_for=[1_500]).end()
    assert [int(line.split()[1]) for line in done.got] == [60, 61]
    assert (done.skipped, done.reconnects) == (1, 0)


def test_over_a_broker_that_is_killed_everything_is_acknowledged(
    own_mosquitto: Mosquitto, talk: Callable[..., Talking]
) -> None:
    running = talk(own_mosquitto.port, [50] * 300, seconds=18)
    for acknowledged in ("acked 50", "acked 150"):
        eventually(lambda line=acknowledged: running.said(line), what="messages under way")  # type: ignore[misc]
        own_mosquitto.kill()
        own_mosquitto.start()
    assert running.end().acknowledged == 300


def test_a_broker_that_is_frozen_is_left_and_found_again(
    own_mosquitto: Mosquitto, talk: Callable[..., Talking]
) -> None:
    running = talk(own_mosquitto.port, [50] * 250, seconds=18, patience_ms=300)
    eventually(lambda: running.said("acked 20"), what="messages under way")
    own_mosquitto.process.freeze()
    time.sleep(0.8)  # longer than its patience
    own_mosquitto.process.thaw()
    done = running.end()
    assert done.acknowledged == 250


def test_an_idle_client_notices_a_dead_connection_by_its_own_pings(talk: Callable[..., Talking]) -> None:
    # CONNECT, SUBSCRIBE and one message are answered; then only its PINGREQ can find out.
    with Mean([silent_after(3), sound]) as broker:
        running = talk(broker.port, [1], keep_alive_s=1, patience_ms=200, messages=1, seconds=4)
        eventually(lambda: broker.connections >= 2, what="a second connection")
        running.end()


def test_wrong_credentials_are_told_and_tried_again(part_directory: Path, talk: Callable[..., Talking]) -> None:
    with Mosquitto(part_directory, users={"kitchen": "right"}) as broker:
        refused = talk(broker.port, [1], mqtt_user="kitchen", mqtt_password="wrong", seconds=1).end()
        assert refused.acknowledged == 0
        assert "broker: the broker refuses: this device is not allowed in" in refused.lines
        assert talk(broker.port, [1], mqtt_user="kitchen", mqtt_password="right").end().acknowledged == 1


# Brokers that mean no good.

Behaviour = Callable[[socket.socket], None]


def read_packet(connection: socket.socket) -> tuple[int, bytes]:
    """The next packet's first byte and body. Raises OSError at the end."""
    head = exactly(connection, 1)[0]
    length = shift = 0
    while True:
        byte = exactly(connection, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return head, exactly(connection, length)


def exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def packet(head: int, body: bytes) -> bytes:
    length, encoded = len(body), b""
    while True:
        encoded += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return bytes([head]) + encoded + body


def message(topic: bytes, payload: bytes, *, packet_id: int | None = None) -> bytes:
    named = struct.pack("!H", len(topic)) + topic
    if packet_id is None:
        return packet(0x30, named + payload)
    return packet(0x32, named + struct.pack("!H", packet_id) + payload)


def answer(connection: socket.socket, head: int, body: bytes) -> None:
    """What a right broker answers."""
    kind = head & 0xF0
    if kind == 0x10:
        connection.sendall(b"\x20\x02\x00\x00")
    elif kind == 0x80:
        connection.sendall(b"\x90\x03" + body[:2] + b"\x01")
    elif kind == 0x30 and head & 0x06:
        end = 2 + int.from_bytes(body[:2], "big")
        connection.sendall(b"\x40\x02" + body[end : end + 2])
    elif kind == 0xC0:
        connection.sendall(b"\xd0\x00")


def sound(connection: socket.socket) -> None:
    """A right broker."""
    while True:
        answer(connection, *read_packet(connection))


def saying(data: bytes, *, after: int = 2) -> Behaviour:
    """Right for `after` packets (CONNECT and SUBSCRIBE); then it sends `data`, and is right again."""

    def behave(connection: socket.socket) -> None:
        for _ in range(after):
            answer(connection, *read_packet(connection))
        connection.sendall(data)
        sound(connection)

    return behave


def silent_after(packets: int) -> Behaviour:
    """Right for so many packets; then it takes everything and answers nothing."""

    def behave(connection: socket.socket) -> None:
        for _ in range(packets):
            answer(connection, *read_packet(connection))
        while connection.recv(4096):
            pass

    return behave


def closing_after(packets: int) -> Behaviour:
    """Right for so many packets; then it closes without an answer to the next."""

    def behave(connection: socket.socket) -> None:
        for _ in range(packets):
            answer(connection, *read_packet(connection))
        read_packet(connection)

    return behave


def dripping(connection: socket.socket) -> None:
    """Begins a packet and never comes to its end, a byte at a time."""
    for _ in range(2):
        answer(connection, *read_packet(connection))
    connection.sendall(b"\x30\xff\xff\x7f")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)  # that it is slow is what it is about


class Mean:
    """Listens on 127.0.0.1; each connection gets the next behaviour, the last one all that follow.

    Usable as a context manager.
    """

    def __init__(self, behaviours: list[Behaviour]) -> None:
        self.connections = 0
        self._behaviours = behaviours
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            behave = self._behaviours[min(self.connections, len(self._behaviours) - 1)]
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(behave, connection), daemon=True).start()

    @staticmethod
    def _serve(behave: Behaviour, connection: socket.socket) -> None:
        try:
            behave(connection)
        except OSError:
            pass
        finally:
            connection.close()


MEAN: Final[dict[str, Behaviour]] = {
    "says nothing to CONNECT": silent_after(0),
    "closes at once": lambda _connection: None,
    "closes after CONNECT": closing_after(0),
    "closes after SUBSCRIBE": closing_after(1),
    "closes instead of PUBACK": closing_after(2),
    "never acknowledges": silent_after(2),
    "never allows": silent_after(1),
    "is a web server": saying(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", after=0),
    "refuses": saying(b"\x20\x02\x00\x05", after=0),
    "refuses with a number of its own": saying(b"\x20\x02\x00\x63", after=0),
    "answers CONNECT at length": saying(b"\x20\x05\x00\x00\x00\x00\x00", after=0),
    "forbids to subscribe": saying(b"\x90\x03\x00\x01\x80", after=1),
    "sends zeros": saying(bytes(200)),
    "sends ones": saying(b"\xff" * 200),
    "sends a length without end": saying(b"\x30\xff\xff\xff\xff\xff\x7f"),
    "sends the largest packet there is": saying(b"\x30\xff\xff\xff\x7f" + bytes(100_000)),
    "sends a topic longer than its packet": saying(b"\x30\x04\xff\xffab"),
    "sends half a topic length": saying(b"\x30\x01\x00"),
    "sends an empty publish": saying(b"\x30\x00"),
    "sends QoS 2": saying(packet(0x34, b"\x00\x01a\x00\x01")),
    "sends QoS 3": saying(packet(0x36, b"\x00\x01a\x00\x01")),
    "sends a topic that is no text": saying(message(b"\xff\xfe\xfd", b"x")),
    "sends a topic larger than a board": saying(message(b"t" * 4_000, b"x", packet_id=1)),
    "sends a CONNECT": saying(packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x0a\x00\x00")),
    "sends a second CONNACK": saying(b"\x20\x02\x00\x00"),
    "drips": dripping,
}


@pytest.mark.parametrize("how", MEAN)
def test_a_broker_that_means_no_good_is_left_for_a_right_one(how: str, talk: Callable[..., Talking]) -> None:
    with Mean([MEAN[how], sound]) as broker:
        done = talk(broker.port, [10] * 5, patience_ms=250, keep_alive_s=2).end()
        assert done.acknowledged == 5
        assert broker.connections == 2


KIND: Final[dict[str, bytes]] = {
    "PUBACK for what was never sent": b"\x40\x02\x12\x34",
    "a PINGRESP nobody asked for": b"\xd0\x00",
    "a large message": message(b"t/kitchen/led/set", b"x" * 200_000, packet_id=7),
    "a thousand messages of others": message(b"somebody/else", b"x" * 30) * 1_000,
    "messages without a payload": message(b"a", b"") * 20,
}


@pytest.mark.parametrize("what", KIND)
def test_what_is_odd_and_allowed_breaks_nothing(what: str, talk: Callable[..., Talking]) -> None:
    with Mean([saying(KIND[what])]) as broker:
        done = talk(broker.port, [10] * 5).end()
        assert done.acknowledged == 5
        assert broker.connections == 1
