"""The embedded broker as a process: its start, its ports, its end."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from broker.embedded import CONFIG_NAME, PROJECT, BrokerStartError, EmbeddedBroker, Listeners, free_port, write_config
from tests.broker.mqtt5_client import TIMEOUT_S, Mqtt5Client

PARENT = """
import sys
from pathlib import Path
from broker.embedded import EmbeddedBroker
broker = EmbeddedBroker.start(Path(sys.argv[1]), port=0)
print(broker.pid, broker.mqtt_url, broker.mqtt5_url, flush=True)
sys.stdin.read()
"""


def ended(pid: int) -> bool:
    """Whether process `pid` ends in time; it need not be our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], TIMEOUT_S)[0])
    finally:
        os.close(handle)


def listening(url: str) -> bool:
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port), TIMEOUT_S):
            return True
    except ConnectionRefusedError:
        return False


def run_child(config: Path) -> subprocess.CompletedProcess[str]:
    """Run the child entry on `config` as the parent would, until it ends by itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "broker.embedded_child", str(config)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert ended(process.pid)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_it_listens_until_stopped_and_stopping_twice_is_fine(tmp_path: Path) -> None:
    broker = EmbeddedBroker.start(tmp_path, port=0)
    ran = broker.running
    assert listening(broker.mqtt_url)
    assert listening(broker.mqtt5_url)
    broker.stop()
    assert (ran, broker.running) == (True, False)
    assert not listening(broker.mqtt_url)
    assert not listening(broker.mqtt5_url)
    broker.stop()


def test_it_runs_in_its_own_session_so_that_ctrl_c_passes_it_by(tmp_path: Path) -> None:
    broker = EmbeddedBroker.start(tmp_path, port=0)
    try:
        assert os.getsid(broker.pid) == broker.pid != os.getsid(0)
    finally:
        broker.stop()


def test_a_taken_port_gives_the_next_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = EmbeddedBroker.start(tmp_path, port=port)
        try:
            assert port < int(urlsplit(broker.mqtt_url).port or 0) <= port + 100
        finally:
            broker.stop()


def test_it_dies_with_a_parent_that_is_killed_and_says_nothing(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("wb") as stderr:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        pid, mqtt_url, mqtt5_url = parent.stdout.readline().decode().split()
        client = Mqtt5Client(mqtt5_url, "witness")
        client.subscribe("a/#")
        client.publish("a/b", b"1")
        client.drop()
        assert listening(mqtt_url)  # a connection that never says CONNECT is noise in rumqttd's own log
        parent.send_signal(signal.SIGKILL)
        assert ended(int(pid))
        parent.wait(TIMEOUT_S)
    assert not listening(mqtt_url)
    assert (tmp_path / "stderr").read_text() == ""


def test_a_port_taken_after_we_looked_is_reported_by_the_child(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_config(tmp_path, Listeners("127.0.0.1", free_port("127.0.0.1", 0), taken.getsockname()[1]))
        result = run_child(config)
    assert result.stdout.startswith("taken ")
    assert (result.returncode, result.stderr) == (1, "")


def test_a_config_that_the_broker_refuses_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / CONFIG_NAME
    config.write_text("id = 'none'\n")
    result = run_child(config)
    assert result.stdout.startswith("failed ")
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_a_directory_that_is_not_there_is_a_start_error(tmp_path: Path) -> None:
    with pytest.raises(BrokerStartError, match=r"could not be started.*missing"):
        EmbeddedBroker.start(tmp_path / "missing", port=0)


def test_a_start_that_takes_too_long_is_given_up_and_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(BrokerStartError, match="did not listen in time"):
        EmbeddedBroker.start(tmp_path, port=0, timeout_s=0.0)


def test_it_refuses_to_listen_for_the_whole_network(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="loopback"):
        EmbeddedBroker.start(tmp_path, host="0.0.0.0", port=0)  # noqa: S104  # that is the point


def test_no_free_port_is_an_error_that_names_the_range() -> None:
    with (
        socket.create_server(("127.0.0.1", 65535)),
        pytest.raises(BrokerStartError, match="from 65535 to 65535"),
    ):
        free_port("127.0.0.1", 65535)
