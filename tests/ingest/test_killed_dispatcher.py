"""`kill -9` of the worker at each step of a command's life loses nothing and applies nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from db import audit
from db.engine import snapshot
from tests.ingest.command_desk import Desk
from tests.ingest.conftest import MakeWorker
from tests.ingest.killed_dispatcher import ARMS
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.obeying import ObeyingDevice

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("step", list(ARMS))
def test_a_worker_killed(
    step: str, database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root, commands=True)
    desk = Desk(worker)
    program = [sys.executable, "-m", "tests.ingest.killed_dispatcher", database_url, mosquitto.url, topic_root, step]
    with (
        subprocess.Popen(program, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as doomed,
        ObeyingDevice(mosquitto.port, topic_root) as device,
    ):
        try:
            assert doomed.stdout is not None
            assert doomed.stdout.readline() == "connected\n"
            device.introduce()
            eventually(desk.is_stored)
            made = desk.ask(nudge=False)
            assert doomed.wait(20) == -signal.SIGKILL
        finally:
            doomed.kill()
        worker.start()
        ended = desk.ends(made)
        assert ended.status == "confirmed"
        assert device.applied == [made.id]
        assert {order["id"] for order in device.told} == {made.id}
        assert len(device.told) <= 2

        def ends() -> list[str]:
            with snapshot(worker.database) as connection:
                assert audit.verify(connection, b"k" * 32, None).ok
                return [one.entry.action for one in audit.search(connection, action="command.")]

        eventually(lambda: ends() == ["command.confirmed", "command.request"])
        assert desk.path(made).count("confirmed") == 1
