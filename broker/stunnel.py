"""stunnel in front of a bridge: it does the TLS where Mosquitto's own is not safe."""

from __future__ import annotations

import ipaddress
import os
import shutil
from collections.abc import Iterator
from typing import Final

from broker.bridge import Bridge
from broker.bridge_conf import SYSTEM_CA_FILE, Files
from broker.mosquitto import NoMosquitto

_PLACES: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/bin"])


class StunnelMissing(NoMosquitto):
    """It is not installed. The text says what to type."""


def program() -> str:
    """Its path. Raises StunnelMissing."""
    for name in ("stunnel4", "stunnel"):
        if path := shutil.which(name, path=_PLACES):
            return path
    raise StunnelMissing(
        "stunnel is not installed, and TLS of a bridge needs it with a Mosquitto before 2.0.22. "
        "Type: sudo apt-get install stunnel4"
    )


def text(bridge: Bridge, files: Files, near: int) -> str:
    """Its configuration: from 127.0.0.1:`near` in the clear to the far end by TLS."""
    return "\n".join([*_global(bridge), *_service(bridge, files, near), ""])


def _global(bridge: Bridge) -> Iterator[str]:
    yield f"; TLS of the bridge {bridge.name}. Written anew at each start of `python -m broker run`."
    yield "foreground = yes"
    yield "pid ="
    yield "syslog = no"
    yield "debug = notice"


def _service(bridge: Bridge, files: Files, near: int) -> Iterator[str]:
    yield f"[{bridge.name}]"
    yield "client = yes"
    yield "; Loopback alone. Whoever may log in on this machine can use it: where the far end knows the site by its"
    yield "; certificate and asks for no password, such a person is the site."
    yield f"accept = 127.0.0.1:{near}"
    yield f"connect = {bridge.host}:{bridge.port}"
    yield "; The name is looked up at each connection: a changed address is found, and a start without DNS works."
    yield "delay = yes"
    yield "; Who answers must prove to be that host, by an authority that is trusted here."
    yield "verifyChain = yes"
    yield f"CAfile = {files.ca or SYSTEM_CA_FILE}"
    yield f"{'checkIP' if _is_address(bridge.host) else 'checkHost'} = {bridge.host}"
    if not _is_address(bridge.host):
        yield f"sni = {bridge.host}"
    if files.certificate is not None:
        yield "; What the far end knows this site by."
        yield f"cert = {files.certificate}"
        yield f"key = {files.key}"
    yield "sslVersionMin = TLSv1.2"
    yield "; A far end that accepts and says nothing is given up, and so is one that does not end."
    yield "TIMEOUTconnect = 10"
    yield "TIMEOUTbusy = 10"
    yield "TIMEOUTclose = 0"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
