"""`python -m firmware simulate` as its user or another program starts it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from tests.broker.mqtt5_client import TIMEOUT_S
from tests.firmware.conftest import Listener
from tests.parts.mosquitto import Mosquitto

PROJECT = Path(__file__).resolve().parents[2]
Start = Callable[..., subprocess.Popen[str]]
Listen = Callable[..., Listener]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the simulator with a pipe on stdin; what has not ended with the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "firmware", "simulate", *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", ["stdin", "SIGTERM", "SIGINT"])
def test_it_ends_cleanly(how: str, mosquitto: Mosquitto, topic_root: str, start: Start, listen: Listen) -> None:
    listener = listen(mosquitto.url)
    process = start("--broker", mosquitto.url, "--root", topic_root, "--period", "0.1", "--until-stdin-closes")
    listener.samples(3)
    if how == "stdin":
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    else:
        process.send_signal(signal.Signals[how])
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    assert "Traceback" not in out
    statuses = [listener.next("status").text]
    while statuses.count("offline") < 3:
        statuses.append(listener.next("status").text)


def test_it_ends_while_there_is_no_broker(start: Start) -> None:
    process = start("--broker", "mqtt://127.0.0.1:1", "--until-stdin-closes")
    assert process.stderr is not None
    assert "mqtt://127.0.0.1:1 is away" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")


def test_a_killed_simulator_is_offline_by_its_will(
    mosquitto: Mosquitto, topic_root: str, start: Start, listen: Listen
) -> None:
    listener = listen(mosquitto.url)
    process = start("--broker", mosquitto.url, "--root", topic_root, "--count", "1")
    assert listener.next("status").text == "online"
    process.kill()
    assert listener.next("status").text == "offline"


def test_messages_are_counted_and_end_it_also_on_the_embedded_broker(tmp_path: Path, start: Start) -> None:
    broker = EmbeddedBroker.start(tmp_path, port=0)
    try:
        process = start("--broker", broker.mqtt_url, "--count", "100", "--rate", "1000", "--messages", "300")
        out, err = process.communicate(timeout=TIMEOUT_S * 2)
    finally:
        broker.stop()
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "sent 300, acknowledged 300"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--broker", "http://me:secret@host"), "mqtt://"),
        (("--root", "+/iot"), "wildcards"),
        (("--rate", "0"), "above 0"),
        (("--period", "-1"), "above 0"),
        (("--count", "5001"), "5000"),
        (("--led-delay", "2", "1"), "shorter"),
    ],
)
def test_a_wrong_option_is_explained(arguments: tuple[str, ...], word: str, start: Start) -> None:
    out, err = start(*arguments).communicate(timeout=TIMEOUT_S)
    assert word in err
    assert "secret" not in out + err
    assert "Traceback" not in err


def test_it_raises_its_own_limit_of_open_files(mosquitto: Mosquitto, topic_root: str) -> None:
    options = ["--broker", mosquitto.url, "--root", topic_root, "--count", "50", "--rate", "500", "--messages", "100"]
    done = simulate_with_open_files("40:120", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "sent 100, acknowledged 100"


def test_too_low_a_hard_limit_is_explained() -> None:
    done = simulate_with_open_files("40:120", "--count", "1000")
    assert done.returncode == 2
    words = " ".join(done.stderr.replace("│", " ").split())
    assert "1000 devices need 1050 open files, and this machine allows a process 120. Start at most 70" in words


def simulate_with_open_files(limits: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end under these soft and hard limits."""
    command = ["prlimit", f"--nofile={limits}", sys.executable, "-m", "firmware", "simulate", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
