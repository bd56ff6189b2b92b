"""Says in one line if HOST:PORT cannot be listened on; runs before set-up, so on Python's own library alone.

Exit status 0 if the port is free, or if HOST or PORT is something that only settings.py may judge.
"""

import errno
import os
import socket
import sys


def refusal(host: str, port: int) -> OSError | None:
    """Why host:port cannot be listened on, None if it can."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            # As the server does: a connection that lingers from the last run is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # Two sockets may share an address by SO_REUSEADDR until one listens.
            probe.listen(1)
    except OSError as error:
        return error
    return None


def main() -> int:
    """Print the refusal, if there is one, and what to do about it."""
    host, text = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8501"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        return 0
    port = int(text)
    error = refusal(host, port)
    if error is None:
        return 0
    if error.errno == errno.EADDRINUSE:
        other = next((p for p in range(port + 1, min(port + 100, 65536)) if refusal(host, p) is None), 0)
        way = f"choose another port: make run PORT={other or 8502}"
        print(f"Set-up stopped: {host}:{port} is in use by another program. Stop that one, or {way}")
    elif error.errno == errno.EACCES:
        print(f"Set-up stopped: {host}:{port} is not allowed for this user. Choose a higher port: make run PORT=8501")
    else:
        way = "Set HOST to an address of this machine: make run HOST=127.0.0.1"
        print(f"Set-up stopped: cannot listen on {host}:{port} ({error.strerror or error}). {way}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
