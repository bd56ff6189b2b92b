"""What docs/boards.md tells people to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_http_device import PASSWORD
from tests.parts.boards import Boards
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "boards.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^ *```sh\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
LINES = [line.strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
#: They run until they are stopped, and have tests of their own.
STANDING = {"make run", "make boards"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A directory to type in, and an environment in which a server and the boards run as the document has them."""
    directory = tmp_path_factory.mktemp("docs")
    (directory / "boards").mkdir()
    with (
        Mosquitto(directory) as broker,
        Server(directory, {"MQTT_URL": broker.url, "ADMIN_PASSWORD": PASSWORD}) as server,
        Boards(directory / "boards", broker.url, "iot") as boards,
    ):
        boards.measure(21, 45)
        eventually(lambda: "as admin with" in server.output(), what="the first admin")
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "MQTT_URL": broker.url,
            "ADMIN_PASSWORD": PASSWORD,
            "SERVER": server.url,
        }
        yield directory, environment


def test_each_line_does_what_it_says(place: tuple[Path, dict[str, str]]) -> None:
    directory, environment = place
    assert len(LINES) >= 9
    for line in LINES:
        if line in STANDING:
            assert f"\n{line.removeprefix('make ')}: " in (ROOT / "Makefile").read_text()
            continue
        # No board hangs on this machine, and the server has another port.
        typed = f"{line} --dry" if " flash " in line else line.replace("http://127.0.0.1:8501", environment["SERVER"])
        done = subprocess.run(
            ["/bin/sh", "-c", typed],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip(), f"{line} said nothing"


def test_every_figure_that_is_named_is_one_the_board_tells() -> None:
    source = (ROOT / "firmware" / "esp8266" / "app.py").read_text()
    told = set(re.findall(r'\(b"(\w+)",', source))
    (sentence,) = re.findall(r"Once a minute it tells (.*?) as metrics", TEXT, re.DOTALL)
    named = {name.removeprefix("vitals.") for name in re.findall(r"`([\w.]+)`", sentence)}
    assert named == told


def test_every_setting_that_is_named_exists() -> None:
    fields = "".join((ROOT / "firmware" / board / "config.py").read_text() for board in ("esp8266", "stm32"))
    named = set(re.findall(r'"(\w+)": ', TEXT)) | set(
        re.findall(r"`(\w+_(?:ms|s|pin|pins|on|rx|host|name|password))`", TEXT)
    )
    assert named
    assert {name for name in named if f"\n{name} " not in fields} == set()
