"""Who may connect, and what is said when we may not."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from pathlib import Path

import pytest

from ingest.subscriber import Mqtt5Subscriber
from tests.ingest.conftest import AnySubscriber, MakeWorker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher
from tests.parts.tls import make_certificates


class Counting(Mqtt5Subscriber):
    """Counts how often it tried to connect."""

    connects = 0

    def connect(self) -> None:
        self.connects += 1
        super().connect()


class Babbler(socketserver.BaseRequestHandler):
    """Answers whatever comes, as a web server would."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n" + b"What is that? " * 20)


def broker_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING" and "The broker at" in r.getMessage()]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/monitor.db"


def test_a_wrong_password_is_told_once_and_not_shown(
    sqlite_url: str, part_directory: Path, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(part_directory, users={"worker": "right"}) as broker:
        url = f"mqtt://worker:wrong-one@127.0.0.1:{broker.port}"
        worker = make_worker(sqlite_url, url, "iot", subscriber=Counting)
        worker.start()
        connections = worker.subscriber
        assert isinstance(connections, Counting)
        eventually(lambda: connections.connects >= 4)
        problem = worker.health.broker.problem
        assert problem in ("it refuses us: bad user name or password", "it refuses us: not authorized")
        assert broker_warnings(caplog) == [
            f"The broker at mqtt://127.0.0.1:{broker.port} is away: {problem}. Trying again until it answers."
        ]
        assert "wrong-one" not in caplog.text
        worker.stop()


def test_the_right_password_works(
    sqlite_url: str, part_directory: Path, make_worker: MakeWorker, subscriber: AnySubscriber
) -> None:
    with Mosquitto(part_directory, users={"worker": "r:i@g/ht"}) as broker:
        worker = make_worker(sqlite_url, broker.url, "iot", subscriber=subscriber)
        worker.start()
        worker.connected()
        broker.publish("iot/d/telemetry", '{"v": 1}')
        worker.wait_for(1)
        worker.stop()


def test_tls_needs_the_authority_that_signed(
    sqlite_url: str,
    part_directory: Path,
    make_worker: MakeWorker,
    subscriber: AnySubscriber,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = make_certificates(part_directory)
    extra = [f"certfile {files.certificate}", f"keyfile {files.key}"]
    with Mosquitto(part_directory, extra=extra) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        stranger = make_worker(sqlite_url, url, "iot", name="stranger", subscriber=subscriber)
        stranger.start()
        eventually(lambda: stranger.health.broker.problem)
        assert stranger.health.broker.problem is not None
        assert stranger.health.broker.problem.startswith("its certificate is not trusted: ")
        assert "(MQTT_CA_FILE)" in stranger.health.broker.problem
        assert len(broker_warnings(caplog)) == 1
        stranger.stop()
        worker = make_worker(sqlite_url, url, "iot", ca_file=files.ca, subscriber=subscriber)
        worker.start()
        worker.connected()
        with Publisher(broker.port, ca_file=files.ca) as device:
            device.publish(("iot/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in range(50))
        worker.wait_for(50)
        tally = worker.check_account()
        assert (tally.stored, tally.readings_stored) == (50, 50)
        worker.stop()


def test_plain_text_to_a_tls_port_is_told(sqlite_url: str, part_directory: Path, make_worker: MakeWorker) -> None:
    files = make_certificates(part_directory)
    extra = [f"certfile {files.certificate}", f"keyfile {files.key}"]
    with Mosquitto(part_directory, extra=extra) as broker:
        worker = make_worker(sqlite_url, f"mqtt://127.0.0.1:{broker.port}", "iot")
        worker.start()
        eventually(lambda: worker.health.broker.problem)
        assert worker.health.broker.state == "connecting"
        worker.stop()


def test_what_is_no_broker_is_told(sqlite_url: str, make_worker: MakeWorker) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Babbler) as server:
        thread = threading.Thread(target=server.serve_forever, name="no-broker", daemon=True)
        thread.start()
        worker = make_worker(sqlite_url, f"mqtt://127.0.0.1:{server.server_address[1]}", "iot")
        worker.start()
        eventually(lambda: worker.health.broker.problem)
        assert worker.health.broker.problem is not None
        assert "no MQTT 5" in worker.health.broker.problem
        worker.stop()
        server.shutdown()
        thread.join()


def test_what_never_answers_is_told(sqlite_url: str, make_worker: MakeWorker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker = make_worker(sqlite_url, f"mqtt://127.0.0.1:{silent.getsockname()[1]}", "iot")
        worker.start()
        eventually(lambda: worker.health.broker.problem)
        assert worker.health.broker.problem == (
            "it accepts the connection and does not answer; is there an MQTT 5 broker?"
        )
        worker.stop()


def test_two_workers_with_one_client_id_say_so_and_do_not_storm(
    sqlite_url: str,
    tmp_path: Path,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = f"{topic_root}-twin"
    first = make_worker(sqlite_url, mosquitto.url, topic_root, name=name, subscriber=Counting)
    second = make_worker(f"sqlite:///{tmp_path}/other.db", mosquitto.url, topic_root, name=name, subscriber=Counting)
    first.start()
    first.connected()
    second.start()
    expected = f"another worker uses the client id {name} (MQTT_CLIENT_ID)"
    eventually(lambda: any(expected in line for line in broker_warnings(caplog)))
    # Each has two reasons at most: the first closing came after a while, the next ones soon.
    connections = first.subscriber
    assert isinstance(connections, Counting)
    eventually(lambda: connections.connects >= 5)
    assert len(broker_warnings(caplog)) <= 4, "not with each time that they throw each other out"
    second.stop()
    first.connected()
    with Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/telemetry", json.dumps({"v": 1}))])
    eventually(lambda: first.held().values("d") == [1.0])
