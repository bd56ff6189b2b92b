"""People who look on while it works: open streams of /api/live/, and one who asks for pages and waits for them."""

from __future__ import annotations

import http.client
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, Self
from urllib.parse import urlsplit

from db import engine as database
from pages.parts.last_hour import read_last_hour

_CHUNK: Final = 1 << 16
_PAUSE_S: Final = 0.1
HEALTH: Final = "GET /api/health/"
RECORDS: Final = "GET /api/show_dht22_db/?limit=100"
HOUR: Final = "read_last_hour, from outside"


class Viewers:
    """`count` streams that are read and thrown away, and with `ask` a visitor, who with a `database_url` also asks for
    a last hour.
    """

    def __init__(self, url: str, count: int, database_url: str | None = None, *, ask: bool = True) -> None:
        address = urlsplit(url)
        self._address = (address.hostname or "127.0.0.1", address.port or 80)
        self._count = count
        self._database_url = database_url
        self._stopping = threading.Event()
        self._took: dict[str, list[float]] = {HEALTH: [], RECORDS: [], HOUR: []}
        self.received_bytes = 0
        self._threads = [threading.Thread(target=self._look_on, name="viewers", daemon=True)]
        if ask:
            self._threads.append(threading.Thread(target=self._visit, name="visitor", daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)

    def requests(self) -> dict[str, list[float]]:
        """What each request took so far, in ms, by its name."""
        return {name: list(took) for name, took in self._took.items()}

    def _look_on(self) -> None:
        with selectors.DefaultSelector() as selector:
            for _ in range(self._count):
                stream = socket.create_connection(self._address, 10)
                host = f"{self._address[0]}:{self._address[1]}"
                stream.sendall(f"GET /api/live/ HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode())
                selector.register(stream, selectors.EVENT_READ)
            while not self._stopping.is_set() and selector.get_map():
                for key, _ in selector.select(0.2):
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(_CHUNK)
                    self.received_bytes += len(data)
                    if not data:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()

    def _visit(self) -> None:
        server = http.client.HTTPConnection(*self._address, timeout=20)
        engine = database.create(self._database_url) if self._database_url else None
        turn = 0
        while not self._stopping.wait(_PAUSE_S):
            self._timed(HEALTH, lambda: _get(server, "/api/health/"))
            if turn % 5 == 0:
                self._timed(RECORDS, lambda: _get(server, "/api/show_dht22_db/?limit=100"))
                if engine is not None:
                    self._timed(HOUR, lambda: read_last_hour(engine, "device-00001", int(time.time() * 1000)))
            turn += 1
        server.close()
        if engine is not None:
            engine.dispose()

    def _timed(self, name: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        self._took[name].append((time.perf_counter() - began) * 1000)


def _get(server: http.client.HTTPConnection, path: str) -> None:
    server.request("GET", path)
    response = server.getresponse()
    response.read()
    if response.status not in (200, 503):
        raise ConnectionError(f"{path} answered {response.status}")
