"""Our own server as a child process, as `make run` starts it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx2

from tests.parts.ports import free_port
from tests.parts.process import Process

_ROOT = Path(__file__).parents[2]
# What a program needs to run at all. The caller's DATABASE_URL and the like must not reach a test.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class Server:
    """`python app.py` on a free loopback port with its data in `directory`, usable as a context manager.

    `settings` are environment variables as in the README; without MQTT_URL it starts its embedded broker. No demo
    devices unless asked for. Restarts keep the port and the data. `checkout` is the folder of the sources, `program`
    what Python runs there.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        checkout: Path = _ROOT,
        program: Sequence[str] = ("app.py",),
    ) -> None:
        self.data_dir = directory / "data"
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {"HOST": "127.0.0.1", "PORT": str(free_port()), "DEMO_DEVICES": "0"}
        environment |= {"DATA_DIR": str(self.data_dir), "DATABASE_URL": f"sqlite:///{self.data_dir}/monitor.db"}
        environment |= settings or {}
        self.url = f"http://127.0.0.1:{environment['PORT']}{environment.get('BASE_PATH', '')}"
        # In the root, where Streamlit looks for .streamlit/config.toml.
        command = [sys.executable, *program]
        self.process = Process(command, log=directory / "server.log", directory=checkout, environment=environment)

    def start(self) -> None:
        """Start and wait until /api/health/ answers, be it 200 or 503. Raises PartFailedError."""
        self.process.start()
        self.process.wait_until(self.answers)

    def answers(self) -> bool:
        """Whether /api/health/ answers now."""
        try:
            return self.get("/api/health/").status_code in (200, 503)
        except httpx2.TransportError:
            return False

    def get(self, path: str, **parameters: str | int) -> httpx2.Response:
        """GET a path of this server. Raises httpx2.TransportError while it is not there."""
        return httpx2.get(self.url + path, params=parameters or None, timeout=5, trust_env=False, follow_redirects=True)

    def stop(self) -> int:
        """SIGTERM, and its exit status. Raises PartFailedError if it has not ended after 10 s."""
        return self.process.stop(signal.SIGTERM, seconds=10)

    def interrupt(self) -> int:
        """SIGINT, as Ctrl-C sends it, and its exit status. Raises PartFailedError if it has not ended after 10 s."""
        return self.process.stop(signal.SIGINT, seconds=10)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same port with the same data."""
        if self.process.running:
            self.stop()
        self.start()

    def output(self) -> str:
        """All that stood on its terminal, over all its starts."""
        return self.process.output()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            self.stop()
