"""A board that reports by HTTP, against servers that refuse, stall and talk nonsense before they are right."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import pytest

from tests.parts.boards import Boards
from tests.parts.eventually import eventually

Answer = bytes | None
STORED: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


def saying(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Answers the first requests with `answers`, None for silence, and all that follow rightly.

    `commands` are given to the next poll. Usable as a context manager.
    """

    def __init__(self, answers: list[Answer]) -> None:
        self.readings: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.connections = 0
        self.authorised = True
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as requests:
            try:
                while line := requests.readline():
                    self._answer(connection, line.decode().split(), *self._rest(requests))
            except OSError:
                return

    @staticmethod
    def _rest(requests: Any) -> tuple[dict[str, str], bytes]:
        headers: dict[str, str] = {}
        while (line := requests.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return headers, requests.read(int(headers["content-length"]))

    def _answer(self, connection: socket.socket, line: list[str], headers: dict[str, str], body: bytes) -> None:
        self.authorised &= headers["authorization"] == "Bearer sm_d_token" and headers["host"] == "127.0.0.1"
        if self._answers:
            answer = self._answers.pop(0)
            if answer == b"":
                raise ConnectionResetError
            if answer is not None:
                connection.sendall(answer)
            return
        if line[0] == "GET":
            given, self.commands = self.commands, []
            connection.sendall(saying("200 OK", json.dumps(given).encode()))
            return
        told = json.loads(body)
        if line[1] == "/api/led_status/":
            self.reports.append(told)
        else:
            self.readings += [one for one in (told if isinstance(told, list) else [told]) if "seq" in one]
        connection.sendall(STORED)


@pytest.fixture
def board(part_directory: Path, topic_root: str) -> Iterator[Callable[[Server], Boards]]:
    """Starts a board without an STM32 that reports to a server."""
    running: list[Boards] = []

    def start(server: Server) -> Boards:
        settings = {"protocol": "http", "http_host": "127.0.0.1", "http_port": server.port, "token": "sm_d_token"}
        quick = {"source": "dht22", "period_ms": 50, "sensor_rest_ms": 0, "poll_wait_s": 0, "patience_ms": 400}
        running.append(Boards(part_directory, "mqtt://127.0.0.1:1", topic_root, esp8266=settings | quick))
        running[-1].__enter__()
        running[-1].measure(20, 50)
        return running[-1]

    yield start
    for each in running:
        each.__exit__()


MEAN: Final[dict[str, Answer]] = {
    "says nothing": None,
    "closes": b"",
    "is away for a while": saying("503 Service Unavailable", b"{}"),
    "is away and says for how long": saying("503 Service Unavailable", b"{}", "Retry-After: 1"),
    "has too much": saying("429 Too Many Requests", b"", "Retry-After: 0"),
    "speaks another language": b"220 mail.example ESMTP\r\n",
    "sends a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "sends a length without end": b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
    "breaks off within the head": b"HTTP/1.1 202 Acc",
    "breaks off within the body": b"HTTP/1.1 202 Accepted\r\nContent-Length: 50\r\n\r\nhalf",
    "sends a line without end": b"HTTP/1.1 202 Accepted\r\nX: " + b"x" * 5_000,
    "sends a large body": saying("202 Accepted", b"x" * 20_000),
    "closes in order": saying("202 Accepted", b"{}", "Connection: close"),
}


@pytest.mark.parametrize("how", MEAN)
def test_over_a_server_that_means_no_good_every_reading_comes(how: str, board: Callable[[Server], Boards]) -> None:
    # The first request tells the LED's state, the second figures, the third readings.
    with Server([STORED, STORED, MEAN[how]]) as server:
        board(server)
        eventually(lambda: len(server.readings) >= 10, what="readings")
        found = [one["seq"] for one in server.readings]
        first = found[0]
        assert first == 0 or "202" in str(MEAN[how]), "only what the server took may be missing"
        assert list(dict.fromkeys(found)) == list(range(first, first + len(set(found))))
        assert server.authorised


def test_a_command_is_obeyed_and_reported(board: Callable[[Server], Boards]) -> None:
    with Server([]) as server:
        pair = board(server)
        eventually(lambda: {"led": "led", "state": "OFF"} in server.reports, what="the first report")
        order = {"id": "one", "led": "led", "state": "ON", "expires": 4_000_000_000_000}
        server.commands = [order, {"id": "fan", "led": "fan", "state": "ON"}]
        eventually(lambda: {"id": "one", "led": "led", "state": "ON"} in server.reports, what="the report")
        server.commands = [order | {"state": "OFF"}]
        eventually(
            lambda: server.reports.count({"id": "one", "led": "led", "state": "ON"}) == 2, what="the answer again"
        )
        assert pair.led == "on", "a repeated id is answered and not obeyed again"
        assert all("fan" not in str(report) for report in server.reports)
