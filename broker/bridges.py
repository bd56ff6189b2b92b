"""Bridges of a site's Mosquitto to brokers elsewhere: what was asked for, kept a file each, and made ready at start.

A bridge carries what devices say up, under the site's name, and commands down: CONTRACT, "MQTT".
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import Final, Literal

import msgspec

from broker import bridge_conf, bridge_sessions, stunnel
from broker.bridge import Bridge
from broker.creation import DirectoryError
from broker.directory import BrokerDirectory
from broker.mosquitto import Version
from broker.private_files import write_private
from broker.running import Beside

#: From this version on Mosquitto's own TLS can't freeze it where the far end accepts and never answers.
SAFE_TLS: Final[Version] = (2, 0, 22)

Part = Literal["ca", "certificate", "key"]
_ENDINGS: Final[dict[Part, str]] = {"ca": ".ca.pem", "certificate": ".crt", "key": ".key"}
PARTS: Final = tuple(_ENDINGS)
_LOWEST_PORT: Final = 20_000
_PORTS: Final = 12_000
_PORT_TRIES: Final = 100


class BridgeFileError(DirectoryError):
    """A bridge's file can't be read. The text names it, and says what to do."""


def every(directory: BrokerDirectory) -> list[Bridge]:
    """All bridges, by name. Raises BridgeFileError, OSError."""
    return [_read(file) for file in sorted(directory.bridges.glob("*.json"))]


def find(directory: BrokerDirectory, name: str) -> Bridge | None:
    """The bridge of that name, None if there is none. Raises BridgeFileError, OSError."""
    return next((bridge for bridge in every(directory) if bridge.name == name), None)


def _read(file: Path) -> Bridge:
    try:
        bridge = msgspec.json.decode(file.read_bytes(), type=Bridge)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BridgeFileError(
            f"{file} can't be used: {error}. Mend it, or delete it and type: python -m broker bridge add"
        ) from None
    if bridge.name != file.stem:
        raise BridgeFileError(f"{file} is of a bridge named {bridge.name}: a file has the name of its bridge.")
    return bridge


def file_of(directory: BrokerDirectory, name: str, part: Part) -> Path:
    """Where a bridge's copy of its authority, its certificate or its key stands."""
    return directory.bridges / f"{name}{_ENDINGS[part]}"


def save(directory: BrokerDirectory, bridge: Bridge, parts: dict[Part, bytes]) -> None:
    """Keep a bridge, in the place of one of the same name. `parts` are the PEM files it needs. Raises OSError."""
    bridge_sessions.note_kept(directory, bridge.name)
    for part in _ENDINGS:
        file = file_of(directory, bridge.name, part)
        if part in parts:
            _write(directory, file, parts[part])
        else:
            file.unlink(missing_ok=True)
    _write(
        directory, directory.bridges / f"{bridge.name}.json", msgspec.json.format(msgspec.json.encode(bridge)) + b"\n"
    )


def remove(directory: BrokerDirectory, name: str) -> bool:
    """Forget a bridge and all its files; whether there was one. Raises BridgeFileError, OSError."""
    if find(directory, name) is None:
        return False
    bridge_sessions.note_removed(directory, name)
    for ending in (".json", ".conf", ".stunnel", *_ENDINGS.values()):
        (directory.bridges / f"{name}{ending}").unlink(missing_ok=True)
    return True


def prepare(directory: BrokerDirectory, version: Version) -> tuple[Beside, ...]:
    """Write every bridge's part of Mosquitto's configuration anew, for a Mosquitto of that version.

    Returns what has to run beside it. Raises BridgeFileError, stunnel.StunnelMissing, OSError.
    """
    found = every(directory)
    _forget_strays(directory, {bridge.name for bridge in found})
    beside = []
    for bridge in found:
        near = None
        if bridge.tls and version < SAFE_TLS:
            near = _free_port()
            beside.append(_tunnel(directory, bridge, near))
        text = bridge_conf.text(bridge, files(directory, bridge), near)
        _write(directory, directory.bridges / f"{bridge.name}.conf", text)
    return tuple(beside)


def _forget_strays(directory: BrokerDirectory, known: set[str]) -> None:
    """A bridge whose .json somebody deleted would go on otherwise."""
    for file in directory.bridges.glob("*.conf"):
        if file.stem not in known:
            bridge_sessions.note_removed(directory, file.stem)
            file.unlink()


def _tunnel(directory: BrokerDirectory, bridge: Bridge, near: int) -> Beside:
    program = stunnel.program()
    file = directory.bridges / f"{bridge.name}.stunnel"
    _write(directory, file, stunnel.text(bridge, files(directory, bridge), near))
    return Beside(f"stunnel of bridge {bridge.name}", (program, str(file.resolve())))


def files(directory: BrokerDirectory, bridge: Bridge) -> bridge_conf.Files:
    """Its PEM files that are there, by absolute path: Mosquitto and stunnel may be started anywhere."""
    ca, certificate, key = (file_of(directory, bridge.name, part).resolve() for part in _ENDINGS)
    return bridge_conf.Files(
        ca=ca if bridge.own_ca else None,
        certificate=certificate if bridge.certificate else None,
        key=key if bridge.certificate else None,
    )


def _write(directory: BrokerDirectory, file: Path, content: bytes | str) -> None:
    """Mosquitto reads certificates after it became the directory's owner."""
    write_private(file, content)
    if os.geteuid() == 0:
        owner = directory.path.stat()
        os.chown(file, owner.st_uid, owner.st_gid)


def _free_port() -> int:
    """One that nothing listens on, below those that the system takes for connections that go out. Raises OSError."""
    for _ in range(_PORT_TRIES):
        port = _LOWEST_PORT + secrets.randbelow(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError(f"no free port on 127.0.0.1 from {_LOWEST_PORT} on, for stunnel")
