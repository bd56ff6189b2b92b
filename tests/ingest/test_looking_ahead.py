"""While a database server works at a batch, the next one is received: counted, bounded, never lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ingest.message import Message
from ingest.subscriber import Mqtt5Subscriber, SubscriberSettings
from ingest.vitals import now_ms
from tests.ingest.conftest import MakeWorker
from tests.ingest.worker import Worker
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publication, Publisher

TS = 1_764_000_000_000


class _Patient(Mqtt5Subscriber):
    """While `patient` is set, looks ahead until something is there, not only for what is there already."""

    def __init__(self, settings: SubscriberSettings) -> None:
        super().__init__(settings)
        self.patient, self.stopped = threading.Event(), threading.Event()

    def wake(self) -> None:
        super().wake()
        self.stopped.set()

    def receive(self, timeout_s: float) -> list[Message]:
        return super().receive(timeout_s or (20.0 if self.patient.is_set() else 0.0))


@contextmanager
def patient(worker: Worker) -> Iterator[None]:
    assert isinstance(worker.subscriber, _Patient)
    worker.subscriber.patient.set()
    yield
    worker.subscriber.patient.clear()


def reading(root: str, number: int) -> Publication:
    return f"{root}/d/telemetry", json.dumps({"ts": TS + number, "seq": number, "boot": "a", "v": number})


@pytest.fixture
def broker(own_mosquitto: Mosquitto) -> Mosquitto:
    """A broker of the test's own, which it may restart."""
    return own_mosquitto


@pytest.fixture
def worker(mariadb_url: str, broker: Mosquitto, topic_root: str, make_worker: MakeWorker) -> Worker:
    """A worker that has stored a first message."""
    worker = make_worker(mariadb_url, broker.url, topic_root, subscriber=_Patient, timeout_s=20.0)
    worker.start()
    worker.connected()
    with Publisher(broker.port) as device:
        device.publish([reading(topic_root, 0)])
    worker.wait_for(1)
    return worker


@pytest.fixture
def device(broker: Mosquitto) -> Iterator[Publisher]:
    with Publisher(broker.port) as device:
        yield device


def send(device: Publisher, worker: Worker, root: str, number: int, waiting: int) -> None:
    """Publish one message more, and wait until so many are with the worker and not stored."""
    device.publish([reading(root, number)])
    eventually(lambda: worker.health.account.messages.waiting == waiting)


def test_one_batch_more_is_received_and_no_third(
    mariadb_url: str, device: Publisher, worker: Worker, topic_root: str
) -> None:
    with locked(mariadb_url), patient(worker):
        for number, waiting in ((1, 1), (2, 2), (3, 2)):
            send(device, worker, topic_root, number, waiting)
        account = worker.health.account.messages
        assert (account.stored, account.waiting, account.received) == (1, 2, 3)
    worker.wait_for(4)
    assert worker.check_account().readings_stored == 4


def test_what_comes_behind_a_small_batch_that_was_received_ahead_is_stored_with_it(
    mariadb_url: str, device: Publisher, worker: Worker, topic_root: str
) -> None:
    with locked(mariadb_url), patient(worker):
        for number, waiting in ((1, 1), (2, 2), (3, 2)):
            send(device, worker, topic_root, number, waiting)
    worker.wait_for(4)
    batches = worker.service._ledger.batches(0, now_ms() + 1_000)
    assert (batches.count, batches.messages, batches.largest) == (3, 4, 2), "the first, the second, two together"
    worker.stop()
    worker.check_account()


def test_what_was_received_ahead_is_stored_before_the_end(
    mariadb_url: str, device: Publisher, worker: Worker, topic_root: str
) -> None:
    with locked(mariadb_url), patient(worker):
        for number in (1, 2):
            send(device, worker, topic_root, number, number)
        stopping = threading.Thread(target=worker.stop, name="stops")
        stopping.start()
        assert isinstance(worker.subscriber, _Patient)
        assert worker.subscriber.stopped.wait(5)
    stopping.join(5)
    account = worker.health.account.messages
    assert (account.stored, account.waiting) == (3, 0)


def test_what_was_received_ahead_comes_again_when_the_broker_was_lost(
    mariadb_url: str, broker: Mosquitto, device: Publisher, worker: Worker, topic_root: str
) -> None:
    with locked(mariadb_url), patient(worker):
        for number in (1, 2):
            send(device, worker, topic_root, number, number)
        broker.restart()
    eventually(lambda: worker.health.account.messages.stored == 3, what="each message once")
    worker.check_account()
