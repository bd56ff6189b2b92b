"""What stops the start says so in one clear line, with an exit status that is not 0, and leaves nothing running."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.parts.eventually import eventually
from tests.parts.ports import free_port
from tests.parts.server import Server
from tests.runtime.processes import is_well, processes_of

ROOT = Path(__file__).parents[2]


def refusal(settings: Mapping[str, str], program: tuple[str, ...] = ("app.py",)) -> str:
    """The one line that a start with these settings ends with."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"PORT": str(free_port()), "DEMO_DEVICES": "0", **settings}
    result = subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
    )
    assert result.returncode not in (0, None)
    lines = (result.stdout + result.stderr).strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_a_second_server_on_the_same_data(part_directory: Path) -> None:
    with Server(part_directory) as server:
        eventually(lambda: is_well(server))
        line = refusal({"DATA_DIR": str(server.data_dir)})
        assert line == (
            f"Another Smart Monitor (process {server.process.pid}) uses the data folder {server.data_dir}. "
            "Stop it, or set DATA_DIR to another folder."
        )
        assert is_well(server)


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal({"DATA_DIR": str(tmp_path / "data"), "PORT": str(port)})
    assert line == (
        f"127.0.0.1:{port} can't be used: Address already in use. Choose another port: make run PORT={port + 1}"
    )
    assert processes_of(tmp_path / "data") == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"INGEST": "maybe"}, "INGEST: 'maybe'"),
        ({"PORT": "70000"}, "PORT: '70000'"),
        ({"DATABASE_URL": "postgresql://u:secret-word@h/d"}, "DATABASE_URL: 'postgresql://u:***@h/d'"),
        ({"MQTT_URL": "http://u:secret-word@h"}, "MQTT_URL: 'http://u:***@h'"),
        ({"INGEST": "off"}, "INGEST=off needs MQTT_URL"),
    ],
)
def test_an_invalid_setting(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    line = refusal({"DATA_DIR": str(tmp_path / "data"), **settings})
    assert line.startswith(words)
    assert "secret-word" not in line


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_data_folder_that_can_not_be_written(tmp_path: Path, below: str) -> None:
    file = tmp_path / "in-the-way"
    file.write_text("")
    folder = file / below
    line = refusal({"DATA_DIR": str(folder)})
    assert line.startswith(f"The data folder {folder} can't be written: ")
    assert line.endswith("Set DATA_DIR.")


def test_the_worker_alone_needs_a_broker(tmp_path: Path) -> None:
    line = refusal({"DATA_DIR": str(tmp_path / "data")}, ("-m", "ingest"))
    assert line == "MQTT_URL: not set; the worker alone needs a broker to connect to"


def test_a_database_in_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    file = tmp_path / "in-the-way"
    file.write_text("")
    line = refusal({"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": f"sqlite:///{file}/deeper/monitor.db"})
    assert line.startswith(f"The folder {file}/deeper can't be made: ")
    assert processes_of(tmp_path / "data") == {}
