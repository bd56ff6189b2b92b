"""What passes through the embedded broker: devices on MQTT 3.1.1, our side on MQTT 5."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from broker.embedded import EmbeddedBroker
from tests.broker.mqtt5_client import TIMEOUT_S, Mqtt5Client

Inbox = queue.SimpleQueue[paho.MQTTMessage]
Board = Callable[..., paho.Client]
Upstream = Callable[..., Mqtt5Client]


@pytest.fixture
def upstream(broker: EmbeddedBroker) -> Iterator[Upstream]:
    """Connects clients to the MQTT 5 port, and drops them."""
    clients = []

    def connect(client_id: str, *, persistent: bool = False) -> Mqtt5Client:
        expiry_s = 3600 if persistent else 0
        client = Mqtt5Client(broker.mqtt5_url, client_id, clean_start=not persistent, session_expiry_s=expiry_s)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.drop()


@pytest.fixture
def board(broker: EmbeddedBroker) -> Iterator[Board]:
    """Connects paho clients that speak MQTT 3.1.1 to the devices' port, and ends them."""
    clients = []

    def connect(
        client_id: str, will: tuple[str, str] | None = None, clean: bool = True, inbox: Inbox | None = None
    ) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=clean, protocol=paho.MQTTv311)
        if inbox is not None:
            client.on_message = lambda _client, _data, message: inbox.put(message)
        connected: queue.SimpleQueue[bool] = queue.SimpleQueue()
        client.on_connect = lambda *_: connected.put(True)
        if will:
            client.will_set(will[0], will[1], qos=1, retain=True)
        address = urlsplit(broker.mqtt_url)
        client.connect(str(address.hostname), int(address.port or 0))
        client.loop_start()
        clients.append(client)
        assert connected.get(timeout=TIMEOUT_S)
        return client

    yield connect
    for client in clients:
        client.disconnect()
        client.loop_stop()


def send(client: paho.Client, topic: str, payload: str | bytes, retain: bool = False) -> None:
    client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(TIMEOUT_S)


def subscribe(client: paho.Client, pattern: str) -> None:
    """Subscribe and return once the broker said so."""
    subscribed: queue.SimpleQueue[bool] = queue.SimpleQueue()
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.subscribe(pattern, qos=1)
    assert subscribed.get(timeout=TIMEOUT_S)


def test_a_devices_message_reaches_mqtt5_with_qos_1(upstream: Upstream, board: Board) -> None:
    worker = upstream("w-qos")
    worker.subscribe("qos/#")
    send(board("b-qos"), "qos/a/telemetry", "21.5")
    (message,) = worker.messages(1)
    assert (message.topic, message.payload, int(message.qos)) == ("qos/a/telemetry", b"21.5", 1)


def test_a_command_from_mqtt5_reaches_the_device(upstream: Upstream, board: Board) -> None:
    commands: Inbox = queue.SimpleQueue()
    subscribe(board("b-command", inbox=commands), "command/a/+/set")
    upstream("w-command").publish("command/a/led/set", b"ON")
    assert commands.get(timeout=TIMEOUT_S).payload == b"ON"


def test_retained_messages_cross_both_ways(upstream: Upstream, board: Board) -> None:
    inbox: Inbox = queue.SimpleQueue()
    device, worker = board("b-retained", inbox=inbox), upstream("w-retained")
    send(device, "retained/a/status", "online", retain=True)
    worker.subscribe("retained/a/#")
    (up,) = worker.messages(1)
    assert (up.payload, up.retain) == (b"online", True)
    worker.publish("retained/b/status", b"offline", retain=True)
    subscribe(device, "retained/b/#")
    down = inbox.get(timeout=TIMEOUT_S)
    assert (down.payload, down.retain) == (b"offline", True)


def test_the_will_of_a_crashed_device_arrives_and_is_retained(upstream: Upstream, board: Board) -> None:
    worker = upstream("w-will")
    worker.subscribe("will/#")
    crashing = board("b-will", will=("will/a/status", "offline"))
    crashing.loop_stop()
    connection = crashing.socket()
    assert connection is not None
    connection.close()
    (message,) = worker.messages(1)
    assert message.payload == b"offline"
    late = upstream("w-will-late")
    late.subscribe("will/#")
    assert late.messages(1)[0].retain


def test_a_persistent_mqtt5_session_gets_again_what_it_did_not_acknowledge(upstream: Upstream, board: Board) -> None:
    worker = upstream("w-drop", persistent=True)
    worker.subscribe("drop/#")
    device = board("b-drop")
    for number in range(3):
        send(device, "drop/a/telemetry", str(number))
    worker.messages(1)
    assert worker.receive() is not None  # seen, but never acknowledged
    worker.drop()
    for number in range(3, 150):  # while nobody listens, and more than the broker's window of 100
        send(device, "drop/a/telemetry", str(number))
    again = upstream("w-drop", persistent=True)
    assert again.session_present
    assert [int(message.payload) for message in again.messages(149)] == list(range(1, 150))


def test_a_persistent_311_session_gets_what_came_while_it_was_away(upstream: Upstream, board: Board) -> None:
    first = board("b-session", clean=False)
    subscribe(first, "session/#")
    first.disconnect()
    first.loop_stop()
    upstream("w-session").publish("session/a", b"meanwhile")
    inbox: Inbox = queue.SimpleQueue()
    board("b-session", clean=False, inbox=inbox)
    assert inbox.get(timeout=TIMEOUT_S).payload == b"meanwhile"


def test_a_message_far_too_large_for_us_still_arrives(upstream: Upstream, board: Board) -> None:
    worker = upstream("w-large")
    worker.subscribe("large/#")
    send(board("b-large"), "large/a/telemetry", b"x" * 1_500_000)
    assert len(worker.messages(1)[0].payload) == 1_500_000


def test_two_hundred_connections_fit(upstream: Upstream) -> None:
    clients = [upstream(f"many-{number}") for number in range(200)]
    clients[0].subscribe("many/#")
    for client in clients[1:]:
        client.publish("many/a", b"1")
    assert len(clients[0].messages(199)) == 199
