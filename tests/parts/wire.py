"""A TCP line between two parts that a test can cut, leave silent, and lead elsewhere."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class Wire:
    """Listens on 127.0.0.1:`port` and passes everything on to `target`, usable as a context manager.

    `opened` counts the connections that were taken since the start, whatever became of them.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.opened = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._dropping = threading.Event()
        self._silent = threading.Event()

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._dropping.set()
        self.sever()

    def sever(self) -> None:
        """End all connections; new ones pass."""
        self._end(*self._ends)

    def silence(self) -> None:
        """From now on nothing passes and nothing ends; new connections are accepted, and hear nothing."""
        self._silent.set()

    def mend(self) -> None:
        """New connections pass again; those that heard nothing are ended."""
        was_silent = self._silent.is_set()
        self._dropping.clear()
        self._silent.clear()
        if was_silent:
            self.sever()

    def lead_to(self, target: int) -> None:
        """End all connections; new ones go there."""
        self.target = target
        self.sever()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="wire", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                near = self._listener.accept()[0]
                self.opened += 1
                self._open(near)

    def _open(self, near: socket.socket) -> None:
        if self._dropping.is_set():
            near.close()
            return
        if self._silent.is_set():
            with self._lock:
                self._ends.append(near)
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 2)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._ends += [near, far]
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, sink), name="wire", daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        """Until an end is gone; then both are. A link that fell silent stays as it is until it is ended."""
        with contextlib.suppress(OSError):  # an end was closed, by its side or by us
            while data := source.recv(1 << 16):
                if self._silent.is_set():
                    return
                sink.sendall(data)
        if not self._silent.is_set():
            self._end(source, sink)

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            self._ends = [end for end in self._ends if end not in ends]
        for end in ends:
            with contextlib.suppress(OSError):  # the other side was faster
                end.shutdown(socket.SHUT_RDWR)
            end.close()
