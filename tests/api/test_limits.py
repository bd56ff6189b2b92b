"""Bodies that are too large, endless or slow, and those who ask too often."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from api import problems
from api.limits import Buckets, Limits, LimitSettings, Rate, Room, read_body
from tests.api.server import Served

FREE = Rate(1_000_000, 1_000_000)
ROOM = Room(150_000)


class Word(BaseModel):
    word: str


async def posted(request: Request) -> bytes:
    return await read_body(request, 100_000, ROOM)


def small(settings: LimitSettings) -> Starlette:
    """An API with a route of each kind, where a real one is mounted."""
    app = FastAPI()
    problems.install(app)

    @app.post("/word/")
    def say(word: Word) -> int:
        return len(word.word)

    @app.post("/dht22_db/")
    async def large(body: Annotated[bytes, Depends(posted)]) -> int:
        return len(body)

    @app.get("/")
    def look() -> str:
        return "here"

    @app.get("/closed/")
    def closed() -> None:
        raise problems.ProblemError(401, "Who are you?")

    app.add_middleware(Limits, settings=settings)
    return Starlette(routes=[Mount("/api", app)])


@contextmanager
def served(settings: LimitSettings) -> Iterator[Served]:
    server = Served(small(settings))
    server.start()
    yield server
    assert server.stop()


@contextmanager
def connected(server: Served) -> Iterator[socket.socket]:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        yield connection


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def all_of(connection: socket.socket) -> bytes:
    """Everything until the server closes, which it does without reading on."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_a_body_within_the_limit_passes() -> None:
    with TestClient(small(LimitSettings(body_bytes=1_000))) as client:
        assert client.post("/api/word/", json={"word": "x" * 900}).json() == 900
        assert client.post("/api/dht22_db/", content=b"x" * 100_000).json() == 100_000
        assert client.get("/api/").json() == "here"


@pytest.mark.parametrize(("path", "largest"), [("/api/word/", 1_000), ("/api/dht22_db/", 100_000)])
def test_a_body_that_is_announced_too_large_is_not_read(path: str, largest: int) -> None:
    with served(LimitSettings(body_bytes=1_000)) as server, connected(server) as connection:
        connection.sendall(head(path, "Content-Length: 9000000000"))
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer
    assert f"larger than the {largest} bytes".encode() in answer


@pytest.mark.parametrize(("path", "largest"), [("/api/word/", 1_000), ("/api/dht22_db/", 100_000)])
def test_an_endless_body_is_cut_off(path: str, largest: int) -> None:
    chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    with served(LimitSettings(body_bytes=1_000)) as server, connected(server) as connection:
        connection.sendall(head(path, "Transfer-Encoding: chunked", "Content-Type: application/json"))
        sent = 0
        try:
            while sent < 50_000_000:
                connection.sendall(chunk)
                sent += len(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 20_000_000, "what fits into the buffers between us, and no more"
    with TestClient(small(LimitSettings(body_bytes=1_000))) as client:
        refused = client.post(path, content=(b"x" * 500 for _ in range(1_000)))
        assert refused.status_code == 413
        assert refused.json()["detail"].startswith(f"The body is larger than the {largest} bytes")
        assert refused.headers["connection"] == "close"


def test_an_endless_body_that_nobody_reads_ends_the_connection() -> None:
    with served(LimitSettings()) as server, connected(server) as connection:
        connection.sendall(head("/api/", "Transfer-Encoding: chunked", method="GET") + b"5\r\nhello\r\n")
        answer = all_of(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer.lower()


def test_what_bodies_hold_together_has_a_bound() -> None:
    with served(LimitSettings()) as server, connected(server) as slow, connected(server) as other:
        slow.sendall(head("/api/dht22_db/", "Content-Length: 100000") + b"x" * 99_999)
        answer = b""
        while not answer.startswith(b"HTTP/1.1 503 "):  # until the server has read what the first one sent
            with connected(server) as one:
                one.sendall(head("/api/dht22_db/", "Content-Length: 60000", "Connection: close") + b"x" * 60_000)
                answer = all_of(one)
            assert answer.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 200 "))
        assert b"retry-after: 1" in answer.lower()
        other.sendall(head("/api/dht22_db/", "Content-Length: 40000", "Connection: close") + b"x" * 40_000)
        assert all_of(other).endswith(b"40000")
        slow.sendall(b"x")
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200 ")
        with connected(server) as later:
            later.sendall(head("/api/dht22_db/", "Content-Length: 90000", "Connection: close") + b"x" * 90_000)
            assert all_of(later).endswith(b"90000")


@pytest.mark.parametrize("path", ["/api/word/", "/api/dht22_db/"])
def test_a_slow_body_is_given_up(path: str) -> None:
    with served(LimitSettings(body_s=0.3)) as server, connected(server) as connection:
        connection.sendall(head(path, "Content-Length: 30", "Content-Type: application/json"))
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.1):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

        slow = threading.Thread(target=drip)
        slow.start()
        began = time.monotonic()
        answer = connection.recv(65_536)
        while b"}" not in answer:
            answer += connection.recv(65_536)
        took = time.monotonic() - began
        ended.set()
        slow.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"within 0.3 seconds" in answer
    assert took >= 0.25


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    now = [100.0]
    app = small_with_clock(LimitSettings(by_address=Rate(2, 3), by_credential=FREE), now)
    with TestClient(app) as client:
        assert [client.get("/api/").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = client.get("/api/")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"] == "Too many requests. Ask again in 1 s."
        now[0] += 1
        assert [client.get("/api/").status_code for _ in range(3)] == [200, 200, 429]


def test_a_credential_has_its_own_limit() -> None:
    settings = LimitSettings(by_address=FREE, by_credential=Rate(0.1, 2))
    with TestClient(small_with_clock(settings, [100.0])) as client:
        one, other = {"Authorization": "Bearer sm_k_one"}, {"Authorization": "Bearer sm_k_other"}
        assert [client.get("/api/", headers=one).status_code for _ in range(3)] == [200, 200, 429]
        assert client.get("/api/", headers=one).headers["retry-after"] == "10"
        assert client.get("/api/", headers=other).status_code == 200
        assert client.get("/api/").status_code == 200
        cookie = {"Cookie": "a=b; sm_session=sm_s_one"}
        assert [client.get("/api/", headers=cookie).status_code for _ in range(3)] == [200, 200, 429]


def test_wrong_credentials_cost_more() -> None:
    settings = LimitSettings(by_address=Rate(1, 100), by_credential=FREE, refused_costs=20)
    with TestClient(small_with_clock(settings, [100.0])) as client:
        statuses = [client.get("/api/closed/").status_code for _ in range(7)]
        assert statuses == [401] * 5 + [429] * 2


def test_a_script_that_reads_200_times_a_second_is_not_hindered() -> None:
    settings = LimitSettings()
    for rate in (settings.by_address, settings.by_credential):
        buckets = Buckets(rate, settings.remembered)
        assert not any(buckets.take(b"script", 100.0 + number / 200) for number in range(20_000))


def test_buckets_forget_who_asked_longest_ago() -> None:
    buckets = Buckets(Rate(1, 2), 100)
    for number in range(100_000):
        assert buckets.take(number.to_bytes(4, "big"), 0.0) == 0
    assert len(buckets) == 100


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
    ],
)
def test_an_ipv6_client_is_its_network(one: str, other: str, same: bool) -> None:
    app = small_with_clock(LimitSettings(by_address=Rate(0.001, 1)), [100.0])
    statuses = [TestClient(app, client=(host, 1)).get("/api/").status_code for host in (one, other)]
    assert statuses == [200, 429 if same else 200]


def small_with_clock(settings: LimitSettings, now: list[float]) -> Starlette:
    inner = small(LimitSettings(by_address=FREE, by_credential=FREE))
    (mount,) = inner.routes
    assert isinstance(mount, Mount)
    mount.app = Limits(mount.app, settings, lambda: now[0])
    return inner
