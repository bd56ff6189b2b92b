"""A Mosquitto as `python -m broker` makes and runs it, on free ports of 127.0.0.1."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from typer.testing import CliRunner

from broker.command_line import app
from broker.directory import BrokerDirectory
from tests.parts.ports import accepts, free_port
from tests.parts.process import Process


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command of `python -m broker` said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it said with --json."""
        return json.loads(self.out)


def broker_command(*words: str) -> Answer:
    """Run a command of `python -m broker` in this process."""
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    return Answer(result.exit_code, result.stdout, result.stderr)


class ProductionBroker:
    """Made at once by `init`; as a context manager it runs. `extra` goes to `init`."""

    def __init__(self, path: Path, *extra: str) -> None:
        self.directory = BrokerDirectory(path / "broker")
        self.port, self.tls_port, self.certificate_port = free_port(), free_port(), free_port()
        made = self.command(
            *("init", "--host", "127.0.0.1", "--port", str(self.port), "--tls-port", str(self.tls_port)),
            *("--certificate-port", str(self.certificate_port), *extra),
        )
        assert made.status == 0, made.err
        command = [sys.executable, "-m", "broker", "run", "--dir", str(self.directory.path)]
        self.process = Process(command, log=path / "broker.log")

    @property
    def ca(self) -> Path:
        """What its clients know it by."""
        return self.directory.certificates / "ca.crt"

    @property
    def settings(self) -> dict[str, str]:
        """The server's settings: MQTT_URL, MQTT_ADMIN_USER, MQTT_ADMIN_PASSWORD."""
        lines = self.directory.server_env.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    def command(self, *words: str) -> Answer:
        """A command for this broker's directory."""
        return broker_command(*words, "--dir", str(self.directory.path))

    def add(self, name: str, *options: str) -> dict[str, Any]:
        """`device add --json`, which must succeed: what it answered."""
        made = self.command("device", "add", name, "--json", *options)
        assert made.status == 0, made.err
        return dict(made.document)

    def start(self) -> None:
        """Start it and wait until all its ports accept."""
        self.process.start()
        ports: Sequence[int] = (self.port, self.tls_port, self.certificate_port)
        self.process.wait_until(lambda: all(accepts(port) for port in ports))

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            self.stop()
