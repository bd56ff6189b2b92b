"""Peers that store, installed into .cache/ when first asked for, and started against a broker and a database."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from benchmarks import parts
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import free_port
from tests.parts.process import Process

#: Every peer stores a row a message here, its `id` counting up.
TABLE: Final = "peer_readings"
DJANGO: Final = ("django==5.2.19", "paho-mqtt==2.2.0", "pymysql==1.2.4")
NODE_RED: Final = ("node-red@4.1.15", "node-red-node-mysql@3.0.4")
_ROOT: Final = Path(__file__).parents[1]
_CACHE: Final = _ROOT / ".cache"


class InstallError(Exception):
    """A peer can't be installed here. The text says why."""


def django(directory: Path, port: int, url: str) -> Process:
    """Django's ORM in a venv of its own, so that it never becomes a need of ours."""
    home = _CACHE / "django"
    python = home / "bin/python"
    if not (home / "installed").exists():
        _install([sys.executable, "-m", "venv", "--clear", str(home)])
        _install([str(python), "-m", "pip", "install", "--quiet", *DJANGO])
        (home / "installed").touch()
    address = make_url(url)
    database = [address.host, address.port, address.username, address.password, address.database]
    script = str(_ROOT / "benchmarks/baselines/django_inserts.py")
    peer = Process([str(python), script, str(port), *map(str, database)], log=directory / "django.log")
    peer.start()
    return peer


def node_red(directory: Path, port: int, url: str) -> Process:
    """Node-RED with its MySQL node: a flow of three nodes."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise InstallError("node and npm are not installed")
    home = _CACHE / "node-red"
    if not (home / "installed").exists():
        home.mkdir(parents=True, exist_ok=True)
        _install([npm, "install", "--no-audit", "--no-fund", "--prefix", str(home), *NODE_RED])
        (home / "installed").touch()
    parts.execute(
        url,
        f"CREATE TABLE {TABLE} (id BIGINT AUTO_INCREMENT PRIMARY KEY, device VARCHAR(64) NOT NULL, ts BIGINT NOT NULL, "
        "temperature DOUBLE NOT NULL, humidity DOUBLE NOT NULL)",
    )
    user_dir = directory / "node-red"
    user_dir.mkdir()
    (user_dir / "node_modules").symlink_to(home / "node_modules")
    (user_dir / "package.json").write_text((home / "package.json").read_text())
    (user_dir / "settings.js").write_text(
        "module.exports = {uiHost: '127.0.0.1', credentialSecret: false, flowFile: 'flows.json', "
        "telemetry: {enabled: false, updateNotification: false}};"
    )
    (user_dir / "flows.json").write_text(json.dumps(_flow(port, url)))
    address = make_url(url)
    (user_dir / "flows_cred.json").write_text(
        json.dumps({"database": {"user": address.username, "password": address.password}})
    )
    program = str(home / "node_modules/node-red/red.js")
    peer = Process(
        [node, program, "--userDir", str(user_dir), "--port", str(free_port())], log=directory / "node-red.log"
    )
    peer.start()
    return peer


def _flow(port: int, url: str) -> list[dict[str, object]]:
    function = (
        'msg.payload = [msg.topic.split("/")[1], msg.payload.ts, msg.payload.temperature, msg.payload.humidity];\n'
        f'msg.topic = "INSERT INTO {TABLE} (device, ts, temperature, humidity) VALUES (?, ?, ?, ?)";\n'
        "return msg;"
    )
    flow: dict[str, object] = {"z": "flow", "x": 100, "y": 100}
    return [
        {"id": "flow", "type": "tab", "label": "store"},
        _broker_node(port),
        _database_node(url),
        {
            **flow,
            "id": "in",
            "type": "mqtt in",
            "topic": "iot/+/telemetry",
            "qos": "1",
            "datatype": "json",
            "broker": "broker",
            "wires": [["function"]],
        },
        {**flow, "id": "function", "type": "function", "func": function, "outputs": 1, "wires": [["store"]]},
        {**flow, "id": "store", "type": "mysql", "mydb": "database", "wires": [[]]},
    ]


def _broker_node(port: int) -> dict[str, object]:
    return {
        "id": "broker",
        "type": "mqtt-broker",
        "broker": "127.0.0.1",
        "port": str(port),
        "clientid": "bench",
        "autoConnect": True,
        "autoUnsubscribe": False,
        "protocolVersion": "4",
        "keepalive": "60",
        "cleansession": False,
    }


def _database_node(url: str) -> dict[str, object]:
    address = make_url(url)
    return {
        "id": "database",
        "type": "MySQLdatabase",
        "host": address.host,
        "port": str(address.port),
        "db": address.database,
        "tz": "",
        "charset": "UTF8MB4",
    }


def wait_until_subscribed(peer: Process, broker: Mosquitto) -> None:
    """Wait until the broker says that the peer has subscribed: from then on it keeps messages for it."""
    peer.wait_until(lambda: "bench 1 iot/" in broker.process.output(), seconds=60)


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if "rror" in line]
        raise InstallError(f"{Path(command[0]).name} failed: {said[0] if said else 'it does not say why'}")
