"""A TCP proxy between us and a database that can swallow the answer to a COMMIT."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Final, Self

#: What MariaDB's protocol looks like when a client commits: COM_QUERY with this text.
_COMMIT: Final = b"\x03COMMIT"


class LossyProxy:
    """Listens on 127.0.0.1:`port` and passes everything on to `target`, usable as a context manager.

    After `lose_next_commit()` the next COMMIT reaches the server, whose answer is swallowed and the connection cut: the
    client can't tell whether it was committed. It was, and `lost` is set then.
    """

    def __init__(self, target: int) -> None:
        self.lost = threading.Event()
        self._target = target
        self._armed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._doomed: set[socket.socket] = set()
        self._end_in, self._end_out = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="lossy-proxy", daemon=True)

    def lose_next_commit(self) -> None:
        """Swallow the answer to the next COMMIT on any connection."""
        self._armed.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end_out.send(b"\0")
        self._thread.join(5)
        for sock in (*self._pairs, self._listener, self._end_in, self._end_out):
            sock.close()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._end_in, *self._pairs], [], [])
            if self._end_in in ready:
                return
            for sock in ready:
                if sock is self._listener:
                    self._open()
                elif sock in self._pairs:  # the other end of a pair that was cut a moment ago is not
                    self._pass_on(sock)

    def _open(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 2)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._pairs |= {client: server, server: client}
        self._clients.add(client)

    def _pass_on(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 18)
        except OSError:
            data = b""
        other = self._pairs[sock]
        if sock in self._doomed and data:
            self.lost.set()
            data = b""
        if not data:
            self._cut(sock, other)
            return
        if sock in self._clients and _COMMIT in data and self._armed.is_set():
            self._armed.clear()
            self._doomed.add(other)
        with contextlib.suppress(OSError):  # the next recv() finds out
            other.sendall(data)

    def _cut(self, *ends: socket.socket) -> None:
        for sock in ends:
            del self._pairs[sock]
            self._clients.discard(sock)
            self._doomed.discard(sock)
            sock.close()
