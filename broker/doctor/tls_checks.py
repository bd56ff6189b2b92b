"""Whether devices can trust the broker by TLS, and for how long."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from typing import Final

from broker.doctor.finding import Finding, fine

_SOON_S: Final = 30 * 86_400


def check_tls(host: str, port: int, ca_file: Path | None, patience_s: float = 5.0, to: str | None = None) -> Finding:
    """Shake hands as a device would that knows the broker as `host`; `to`: the address to go to instead."""
    context = ssl.create_default_context(cafile=ca_file)
    where = f"{host}:{port}"
    try:
        with (
            socket.create_connection((to or host, port), patience_s) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            found = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Finding(
            "tls",
            "problem",
            f"{where}: its certificate does not hold ({error.verify_message}).",
            "Devices that check it don't connect.",
            "Name it as devices do: python -m broker init --host NAME; or python -m broker certificates renew.",
        )
    except OSError as error:
        return Finding(
            "tls",
            "problem",
            f"{where}: no TLS there ({error}).",
            "Devices can't connect.",
            "Does it run? python -m broker run",
        )
    left_s = ssl.cert_time_to_seconds(str(found.get("notAfter"))) - time.time()
    if left_s < _SOON_S:
        return Finding(
            "tls",
            "warning",
            f"{where}: its certificate ends in {left_s / 86_400:.0f} days.",
            "From then on devices don't connect.",
            "python -m broker certificates renew, then restart the broker.",
        )
    return fine("tls", f"{where}: its certificate holds for {left_s / 86_400:,.0f} days.")
