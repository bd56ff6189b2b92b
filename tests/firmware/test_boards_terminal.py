"""`python -m firmware boards` at a terminal: the keys are hands."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto

ROOT = Path(__file__).parents[2]


class Terminal:
    """The command at a terminal of its own; what stood on it so far."""

    def __init__(self, *arguments: str) -> None:
        self.text = ""
        self._far, near = pty.openpty()
        command = [sys.executable, "-m", "firmware", "boards", *arguments]
        self.process = subprocess.Popen(command, stdin=near, stdout=near, stderr=near, cwd=ROOT)
        os.close(near)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, key: str) -> None:
        os.write(self._far, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._far)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._far, 4096)
            except OSError:  # nobody has the terminal any more
                return
            self.text += data.decode(errors="replace")


@pytest.fixture
def terminal(mosquitto: Mosquitto, topic_root: str) -> Iterator[Terminal]:
    running = Terminal("--broker", mosquitto.url, "--root", topic_root)
    yield running
    running.close()


def test_the_keys_do_what_hands_would_do(terminal: Terminal) -> None:
    eventually(lambda: "broker: connected" in terminal.text, what="the boards")
    assert "Keys: b button" in terminal.text
    terminal.press("b")
    eventually(lambda: "● on" in terminal.text, what="the LED")
    terminal.press("u")
    eventually(lambda: "wire       pulled out" in terminal.text, what="the wire")
    terminal.press("w")
    eventually(lambda: "the WiFi is gone" in terminal.text, what="the WiFi's end")
    terminal.press("w")
    terminal.press("k")
    eventually(lambda: "this board starts again" in terminal.text, what="the power cut")
    terminal.press("q")
    assert terminal.process.wait(10) == 0
    assert "Traceback" not in terminal.text
