"""Nagle's algorithm is off where it would hold up answers."""

from __future__ import annotations

import socket

from api.serving import send_at_once


def test_a_socket_that_listens_passes_it_on_to_its_connections() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:  # as Streamlit makes it
        server.bind(("127.0.0.1", 0))
        server.listen()
        send_at_once()
        with socket.create_connection(server.getsockname()):
            accepted, _ = server.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
