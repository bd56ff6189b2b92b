"""The ESP8266's firmware sends again what its broker forgot: its own MicroPython, a real broker, a real worker."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any, Self

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import text

from db import account, resends
from db.engine import snapshot
from ingest.resend_plan import ResendSettings
from tests.ingest.worker import Worker
from tests.parts.boards import Boards
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

HOW = ResendSettings(settle_s=0.3, first_s=1.0, calm_s=0.05, behind_s=3600, look_s=0.05)
_TEMPERATURES = text(
    "SELECT COUNT(*) FROM readings r JOIN series s ON s.id = r.series_id WHERE s.metric = 'temperature'"
)


class Witness:
    """Notes the numbers of all readings that the broker passes on, usable as a context manager."""

    def __init__(self, port: int, root: str) -> None:
        self.numbers: set[int] = set()
        self._lock = Lock()
        self._port, self._root = port, root
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{root}/+/telemetry", 1)
        self._client.on_message = self._note

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.loop_stop()

    def _note(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        document = msgspec.json.decode(message.payload)
        items = document if isinstance(document, list) else [document]
        with self._lock:
            self.numbers |= {item["seq"] for item in items if "seq" in item}


def stored_and_seen(worker: Worker) -> tuple[int, int, int, int]:
    """Readings in the database, numbers that came, ranges of missing ones, and messages that were repaired."""
    with snapshot(worker.database) as connection:
        seen = account.seen_now(connection)
        numbers = sum(last - first + 1 for intervals in seen.values() for first, last, *_ in intervals)
        count = connection.scalar(_TEMPERATURES) or 0
        return count, numbers, len(account.gaps(seen)), resends.counts(connection).repaired


def test_what_the_broker_forgot_comes_out_of_the_ring(
    part_directory: Path, tmp_path: Path, own_mosquitto: Mosquitto, topic_root: str
) -> None:
    def start() -> Worker:
        url = f"sqlite:///{tmp_path}/monitor.db"
        worker = Worker(url, own_mosquitto.url, topic_root, commands=True, resends=HOW)
        worker.start()
        worker.connected()
        return worker

    directory = part_directory / "boards"
    directory.mkdir()
    worker = start()
    try:
        with Boards(directory, own_mosquitto.url, topic_root, esp8266={"health_ms": 100}) as boards:
            boards.measure(23.4, 56.1)
            eventually(lambda: stored_and_seen(worker)[0] > 3, what="the first readings")
            with Witness(own_mosquitto.port, topic_root) as witness:
                eventually(lambda: witness.numbers, what="a witness")
                worker.stop()
                before = len(witness.numbers)
                eventually(lambda: len(witness.numbers) >= before + 6, what="readings that only the broker has")
                own_mosquitto.kill()
            own_mosquitto.forget()
            own_mosquitto.start()
            worker.database.dispose()
            worker = start()

            def is_whole() -> bool:
                count, numbers, gaps, repaired = stored_and_seen(worker)
                return repaired >= 5 and gaps == 0 and count == numbers

            eventually(is_whole, what="every reading")
    finally:
        worker.stop()
        worker.database.dispose()
