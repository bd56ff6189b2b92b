"""A private Mosquitto with the settings that production needs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.parts.ports import accepts, free_port
from tests.parts.process import Process, find_program


class Mosquitto:
    """A broker on 127.0.0.1 that keeps its files in `directory`, usable as a context manager.

    `port` 0 takes a free one; restarts keep it. With `users` (name -> password) nobody else may connect. `extra` is
    added to mosquitto.conf, a line each.
    """

    def __init__(
        self, directory: Path, *, port: int = 0, users: Mapping[str, str] | None = None, extra: Sequence[str] = ()
    ) -> None:
        self.port = port or free_port()
        self._users = dict(users or {})
        self._directory = directory
        config = directory / "mosquitto.conf"
        config.write_text("\n".join([*self._settings(), *extra, ""]))
        command = [find_program("mosquitto", package="mosquitto"), "-c", str(config)]
        self.process = Process(command, log=directory / "mosquitto.log")

    @property
    def url(self) -> str:
        """The address for MQTT_URL, with the first user's credentials if there are users."""
        for name, password in self._users.items():
            return f"mqtt://{quote(name, safe='')}:{quote(password, safe='')}@127.0.0.1:{self.port}"
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it accepts connections. Raises PartFailedError, PartMissingError."""
        self.process.start()
        self.process.wait_until(lambda: accepts(self.port))

    def stop(self) -> None:
        """End it in order: it saves sessions, queues and retained messages."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL: what it took in since its last save, up to a second ago, is lost."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same port with the same files."""
        if self.process.running:
            self.stop()
        self.start()

    def forget(self) -> None:
        """Throw away the file in which it keeps sessions, queues and retained messages. It must not run."""
        (self._directory / "mosquitto.db").unlink(missing_ok=True)

    def change_password(self, name: str, password: str) -> None:
        """Change a user's password. It counts from the next start; connections that are open stay."""
        self._users[name] = password
        self._write_passwords()

    def publish(self, topic: str, payload: str | bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish one message with Mosquitto's own client; it has been acknowledged when this returns.

        Raises subprocess.CalledProcessError with the client's own words if the broker refused.
        """
        self._client("mosquitto_pub", "-t", topic, "-q", str(qos), "-s", *(["-r"] if retain else []), text=payload)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            self.stop()

    def _settings(self) -> list[str]:
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if self._users else 'true'}",
            "max_inflight_messages 2000",
            "max_queued_messages 100000",
            "persistence true",
            f"persistence_location {self._directory}/",
            "autosave_interval 1",
            "log_dest stdout",
            "log_type all",
        ]
        if os.geteuid() == 0:
            # Else it would change to a user who may not write in the directory.
            lines.append("user root")
        if self._users:
            lines.append(f"password_file {self._write_passwords()}")
        return lines

    def _write_passwords(self) -> Path:
        file = self._directory / "passwords"
        file.touch(mode=0o600)
        program = find_program("mosquitto_passwd", package="mosquitto")
        for name, password in self._users.items():
            subprocess.run([program, "-b", str(file), name, password], check=True, capture_output=True)
        return file

    def _client(self, program: str, *arguments: str, text: str | bytes) -> None:
        command = [find_program(program, package="mosquitto-clients"), "-h", "127.0.0.1", "-p", str(self.port)]
        for name, password in list(self._users.items())[:1]:
            command += ["-u", name, "-P", password]
        payload = text.encode() if isinstance(text, str) else text
        subprocess.run([*command, *arguments], input=payload, check=True, capture_output=True, timeout=10)
