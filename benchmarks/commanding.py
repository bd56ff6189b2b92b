"""Scripts that ask, devices that answer at once, and a server between them."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from benchmarks import parts
from tests.parts.mariadb import MariaDB
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess

PASSWORD: Final = "seven green bottles"  # noqa: S105 - of a server that lives for a minute
HERE: Final = Path(__file__).parents[1]


# Who asks


class Asker:
    """A script with a credential and one connection to the server."""

    def __init__(self, url: str, token: str = "") -> None:
        address = urlsplit(url)
        self._server = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def ask(self, method: str, path: str, body: object = None, *expected: int) -> Any:
        """The answer as a document. Raises RuntimeError for another status than 200 or those `expected`."""
        data = None if body is None else json.dumps(body)
        try:
            answer = self._answer(method, path, data)
        except http.client.RemoteDisconnected:
            if method != "GET":
                raise
            self._server.close()  # the server ends a connection that lay idle, as while a thousand devices obey
            answer = self._answer(method, path, data)
        text = answer.read().decode()
        if answer.status not in (200, *expected):
            raise RuntimeError(f"{method} {path} was answered with {answer.status}: {text[:200]}")
        return json.loads(text) if text else None

    def _answer(self, method: str, path: str, data: str | None) -> http.client.HTTPResponse:
        self._server.request(method, f"/api{path}", body=data, headers=self._headers)
        return self._server.getresponse()

    def order(self, to: str, state: str) -> str:
        """Ask a device's LED for a state; the command's id."""
        return str(self.ask("POST", "/led_control/", {"device": to, "led": "led", "state": state}, 202)["id"])

    def confirmed_ms(self, to: str, state: str) -> float:
        """Ms from asking to knowing. Raises RuntimeError if it ends otherwise."""
        began = time.perf_counter()
        command_id = self.order(to, state)
        told = self.ask("GET", f"/commands/{command_id}/?wait=5")
        took = (time.perf_counter() - began) * 1000
        if told["status"] != "confirmed":
            raise RuntimeError(f"a command ended as {told['status']}: {told['steps'][-1]['evidence']}")
        return took

    def close(self) -> None:
        """Hang up."""
        self._server.close()


def admin(web: Server) -> Asker:
    """An admin with an access token, which is good for 5 minutes."""
    login = {"username": "admin", "password": PASSWORD}
    return Asker(web.url, Asker(web.url).ask("POST", "/token/", login)["access"])


def key(by: Asker, name: str) -> str:
    """A new API key of theirs."""
    return str(by.ask("POST", "/keys/", {"name": name}, 201)["key"])


# What is asked


class Devices:
    """Devices that answer at once. `counted` after the end: ids applied, and commands that came."""

    def __init__(self, port: int, devices: int) -> None:
        command = [sys.executable, "-m", "benchmarks.answering", str(port), str(devices)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True)
        self.counted: dict[str, int] = {}

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the devices did not start")
        return self

    def __exit__(self, *_exception: object) -> None:
        printed, _ = self._process.communicate("", timeout=60)
        self.counted = json.loads(printed or "{}")


@contextmanager
def running(server: MariaDB, devices: int, *, off: bool = False) -> Iterator[tuple[Server, str, int, Devices]]:
    """A server, and where it is `off` a worker beside it; the database, the broker's port, and devices it knows."""
    url = server.fresh_database()
    with parts.broker() as broker, parts.directory() as directory:
        settings = {"MQTT_URL": broker.url, "DATABASE_URL": url, "MQTT_CLIENT_ID": "bench"}
        web = Server(directory, settings | {"ADMIN_PASSWORD": PASSWORD, "INGEST": "off" if off else "thread"})
        worker = WorkerProcess(directory, settings | {"DATA_DIR": str(directory / "worker")})
        try:
            if off:
                worker.start()
            with web, Devices(broker.port, devices) as answering:
                web.process.wait_until(lambda: web.get("/api/health/").status_code == 200)
                web.process.wait_until(lambda: "as admin with" in web.output())
                web.process.wait_until(lambda: _knows(web, devices))
                yield web, url, broker.port, answering
        finally:
            if worker.process.running:
                worker.stop()


def _knows(web: Server, devices: int) -> bool:
    told: list[dict[str, str | None]] = Asker(web.url).ask("GET", "/led_status/")
    return sum(one["reported"] == "OFF" for one in told) >= devices
