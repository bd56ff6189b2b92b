"""MQTT 3.1.1, and which version is spoken: with the embedded broker's port that knows no other, and word for word."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from pydantic import SecretStr

from broker.embedded import EmbeddedBroker
from ingest.message import Message
from ingest.negotiated_subscriber import NegotiatedSubscriber, make_subscriber
from ingest.paho_subscriber import PahoSubscriber
from ingest.subscriber import BrokerAway, Mqtt5Subscriber, Subscriber, SubscriberSettings, VersionRefused
from ingest.vitals import now_ms
from settings import MqttAddress, parse_mqtt_url
from tests.ingest.conftest import AnySubscriber, MakeWorker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import free_port
from tests.parts.publisher import Publisher
from tests.parts.worker import WorkerProcess

CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"


def publish_packet(topic: bytes, payload: bytes, packet_id: int, flags: int = 0b0010) -> bytes:
    """QoS 1 (MQTT 3.1.1, section 3.3); shorter than 128 bytes."""
    body = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big") + payload
    return bytes([0x30 | flags, len(body)]) + body


@contextmanager
def speaking(*answers: bytes) -> Iterator[int]:
    """A server that answers what comes with these bytes, one after the other, then closes. Yields its port.

    It begins anew with each connection.
    """

    class Says(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            for answer in answers:
                if not self.request.recv(65_536):
                    return
                self.request.sendall(answer)
            while answers and self.request.recv(65_536):
                pass

    with socketserver.TCPServer(("127.0.0.1", 0), Says) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="says", daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def made(kind: Callable[[SubscriberSettings], Subscriber], port: int, root: str = "iot") -> Iterator[Subscriber]:
    settings = SubscriberSettings(
        MqttAddress("127.0.0.1", port), "tester", (f"{root}/#",), largest_payload=40, connect_timeout_s=1.0
    )
    subscriber = kind(settings)
    yield subscriber
    subscriber.release()


@contextmanager
def connected() -> Iterator[tuple[socket.socket, Subscriber]]:
    """A subscriber, and the broker's end of its connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        made(PahoSubscriber, listener.getsockname()[1]) as subscriber,
    ):
        thread = threading.Thread(target=subscriber.connect, name="connects")
        thread.start()
        broker, _ = listener.accept()
        with broker:
            for answer in (CONNACK, SUBACK):
                broker.recv(1000)
                broker.sendall(answer)
            thread.join()
            yield broker, subscriber


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker.start(tmp_path_factory.mktemp("broker"), port=0)
    yield broker
    broker.stop()


def port_of(url: str) -> int:
    return parse_mqtt_url(url).port


def connect_and_receive(subscriber: Subscriber) -> None:
    subscriber.connect()
    subscriber.receive(1.0)


def received(subscriber: Subscriber, count: int) -> list[Message]:
    found: list[Message] = []

    def enough() -> bool:
        found.extend(subscriber.receive(0.1))
        return len(found) >= count

    eventually(enough)
    return found


# Which version


@pytest.mark.parametrize(
    ("port", "protocol"), [("mqtt_url", "3.1.1"), ("mqtt5_url", "5")], ids=["only 3.1.1", "only 5"]
)
def test_auto_takes_what_the_broker_speaks(
    port: str, protocol: str, embedded: EmbeddedBroker, tmp_path: Path, topic_root: str, make_worker: MakeWorker
) -> None:
    url = f"sqlite:///{tmp_path}/monitor.db"
    worker = make_worker(url, getattr(embedded, port), topic_root, subscriber=NegotiatedSubscriber)
    worker.start()
    worker.connected()
    assert worker.health.broker.protocol == protocol
    with Publisher(port_of(embedded.mqtt_url)) as device:
        device.publish((f"{topic_root}/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in range(200))
    worker.wait_for(200)
    assert worker.held().values("d") == [float(n) for n in range(200)]
    assert worker.check_account().stored == 200


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_the_worker_alone_does_as_its_setting_says(
    protocol: str, embedded: EmbeddedBroker, part_directory: Path
) -> None:
    settings = {
        "MQTT_URL": embedded.mqtt_url,
        "MQTT_PROTOCOL": protocol,
        "MQTT_CLIENT_ID": f"alone-{protocol}",
        "DATABASE_URL": f"sqlite:///{part_directory}/monitor.db",
    }
    with WorkerProcess(part_directory, settings) as worker:
        assert worker.stop() == 0


def test_what_was_not_acknowledged_comes_again_from_a_broker_of_3_1_1(embedded: EmbeddedBroker) -> None:
    with made(PahoSubscriber, port_of(embedded.mqtt_url), "again") as subscriber:
        subscriber.connect()
        with Publisher(port_of(embedded.mqtt_url)) as device:
            device.publish(("again/d/v", str(n)) for n in range(20))
        first = received(subscriber, 20)
        subscriber.acknowledge(first[:10])
        subscriber.connect()
        assert {message.payload for message in received(subscriber, 10)} >= {str(n).encode() for n in range(10, 20)}


@pytest.mark.parametrize("with_version", ["5", "3.1.1", "auto"])
def test_a_broker_that_speaks_both_gets_what_is_asked_for(
    with_version: Literal["5", "3.1.1", "auto"], mosquitto: Mosquitto, topic_root: str
) -> None:
    with made(lambda settings: make_subscriber(settings, with_version), mosquitto.port, topic_root) as subscriber:
        subscriber.connect()
        assert subscriber.protocol == ("3.1.1" if with_version == "3.1.1" else "5")
        assert subscriber.window == (None if with_version == "3.1.1" else 2000)


@pytest.mark.parametrize(
    "answer", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00", b"\x20\x02\x00\x84", b""], ids=["1", "132", "cut", "bye"]
)
def test_a_refusal_of_mqtt_5_is_understood_whichever_way_it_is_said(answer: bytes) -> None:
    answers = [answer] if answer else []
    with speaking(*answers) as port, made(Mqtt5Subscriber, port) as subscriber, pytest.raises(VersionRefused):
        subscriber.connect()


@pytest.mark.parametrize("kind", [Mqtt5Subscriber, NegotiatedSubscriber])
def test_forced_or_not_a_broker_elsewhere_is_away(kind: AnySubscriber) -> None:
    with made(kind, free_port()) as subscriber, pytest.raises(BrokerAway, match="Connection refused"):
        subscriber.connect()


def test_what_is_no_broker_at_all_is_told_by_what_it_said_first() -> None:
    with (
        speaking(b"HTTP/1.0 400 Bad Request\r\n\r\n" * 9) as port,
        made(NegotiatedSubscriber, port) as subscriber,
        pytest.raises(BrokerAway, match="no MQTT 5"),
    ):
        subscriber.connect()


def test_silence_is_no_refusal_of_mqtt_5() -> None:
    """A frozen broker would else be spoken to in the slower version when it wakes."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        made(NegotiatedSubscriber, silent.getsockname()[1]) as subscriber,
        pytest.raises(BrokerAway, match="does not answer"),
    ):
        subscriber.connect()


# What is said by MQTT 3.1.1


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([b"\x20\x02\x00\x01"], "does not speak it"),
        ([b"\x20\x02\x00\x02"], "it refuses us: client identifier not valid"),
        ([b"\x20\x02\x00\x03"], "it refuses us: server unavailable"),
        ([b"\x20\x02\x00\x04"], "it refuses us: bad user name or password"),
        ([b"\x20\x02\x00\x05"], "it refuses us: not authorized"),
        ([CONNACK, b"\x90\x03\x00\x01\x80"], "it refuses the subscription to iot/#"),
        ([CONNACK, b""], "does not answer"),
        ([CONNACK, SUBACK + b"\xf0\x00"], "no MQTT 3.1.1"),
        ([CONNACK, SUBACK + publish_packet(b"\xff\xfe", b"1", 1)], "a topic that is no text"),
        ([b"HTTP/1.0 400 Bad Request\r\n" * 9], "no MQTT 3.1.1"),
    ],
)
def test_refusals_in_words(answers: list[bytes], words: str) -> None:
    with speaking(*answers) as port, made(PahoSubscriber, port) as subscriber, pytest.raises(BrokerAway, match=words):
        connect_and_receive(subscriber)


def test_a_wrong_password_is_refused_and_the_right_one_not(part_directory: Path) -> None:
    with Mosquitto(part_directory, users={"worker": "r:i@g/ht"}) as broker:
        address = parse_mqtt_url(broker.url)
        right = PahoSubscriber(SubscriberSettings(address, "a", ("iot/#",)))
        right.connect()
        right.release()
        stranger = MqttAddress(address.host, address.port, username="worker", password=SecretStr("wrong"))
        wrong = PahoSubscriber(SubscriberSettings(stranger, "b", ("iot/#",)))
        with pytest.raises(BrokerAway, match=r"it refuses us: (not authorized|bad user name or password)"):
            wrong.connect()
        wrong.release()


# What must not be lost


def test_messages_around_the_answers_are_not_lost() -> None:
    first, second, third = (publish_packet(b"iot/d/v", str(n).encode(), n) for n in (1, 2, 3))
    with speaking(CONNACK + first, second + SUBACK + third) as port, made(PahoSubscriber, port) as subscriber:
        subscriber.connect()
        found = received(subscriber, 3)
        assert [(message.payload, message.packet_id) for message in found] == [(b"1", 1), (b"2", 2), (b"3", 3)]


def test_a_packet_in_single_bytes_is_one_message() -> None:
    packet = publish_packet(b"iot/d/v", b"21.5", 7, flags=0b1011)
    with connected() as (broker, subscriber):
        for byte in packet:
            assert subscriber.receive(0.0) == []
            broker.sendall(bytes([byte]))
        (message,) = received(subscriber, 1)
        assert (message.topic, message.payload, message.packet_id) == ("iot/d/v", b"21.5", 7)
        assert (message.retained, message.redelivered) == (True, True)
        assert abs(now_ms() - message.received_at) < 60_000
        subscriber.acknowledge([message])
        assert broker.recv(1000) == b"\x40\x02\x00\x07"


def test_of_a_payload_that_is_too_large_the_length_is_kept() -> None:
    """Here 40 bytes are allowed; all of them fit into what is kept."""
    with connected() as (broker, subscriber):
        broker.sendall(publish_packet(b"iot/d/v", b"x" * 41, 1))
        (message,) = received(subscriber, 1)
        assert (message.size, message.payload) == (41, b"x" * 41)


def test_waking_ends_a_wait(mosquitto: Mosquitto, topic_root: str) -> None:
    with made(NegotiatedSubscriber, mosquitto.port, topic_root) as subscriber:
        subscriber.connect()
        subscriber.wake()
        assert subscriber.receive(60.0) == []
