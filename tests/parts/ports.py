"""Free ports on loopback for the programs that tests start."""

from __future__ import annotations

import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections: a part that is down for a moment
# finds its port free when it restarts.
_LOWEST, _HIGHEST = 15_000, 32_000
# A part that is down for a moment, or not yet up, has nothing that listens. So each port is held for this process by a
# UDP socket of the same number, until the process ends: other test processes look for it.
_held: dict[int, socket.socket] = {}


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on and that no test process has. Raises OSError if none is."""
    for port in random.sample(range(_LOWEST, _HIGHEST), 200):
        if _is_free(port) and _hold(port):
            return port
    raise OSError(f"no free port on 127.0.0.1 from {_LOWEST} to {_HIGHEST} in 200 tries")


def accepts(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts a connection to this port now."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _hold(port: int) -> bool:
    holder = socket.socket(type=socket.SOCK_DGRAM)
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return False
    _held[port] = holder
    return True
