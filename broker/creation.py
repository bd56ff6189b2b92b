"""Makes a broker's directory, and changes what it was told; what is there already stays."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import socket
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from broker import access
from broker.certificates import Authority
from broker.configuration import BrokerSettings, mosquitto_conf
from broker.directory import BrokerDirectory
from broker.dynamic_security import Administrator, first_file
from broker.mosquitto import find_plugin
from broker.private_files import write_private, write_public

_PASSWORD_BYTES: Final = 18
_LARGEST_QUEUE_MB: Final = 1024
_SMALLEST_QUEUE_MB: Final = 64


class DirectoryError(Exception):
    """The directory is none of ours, or spoilt. The text says what to do."""


def create(directory: BrokerDirectory, wanted: BrokerSettings) -> bool:
    """Make what is not there yet, and hold it to `wanted`; whether it is new. Secrets that are there stay.

    Raises OSError, DirectoryError, certificates.CertificateError, mosquitto.NoMosquitto.
    """
    find_plugin()
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.path.chmod(0o700)
    for folder in (directory.bridges, directory.certificates, directory.store):
        folder.mkdir(mode=0o700, exist_ok=True)
    new = not directory.settings.exists()
    before = None if new else load(directory)
    if before is not None and before.root != wanted.root:
        raise DirectoryError(
            f"--root {wanted.root}: the accounts in {directory.path} are for {before.root}. Make another directory."
        )
    authority = Authority(directory.certificates)
    if not authority.certificate.exists() or not authority.key.exists():
        authority.make(f"Smart Monitor broker on {socket.gethostname()}")
    if before is None or before.hosts != wanted.hosts or not authority.server_certificate.exists():
        authority.make_server(certified_hosts(wanted))
    if not directory.dynamic_security.exists() or not directory.server_env.exists():
        _make_accounts(directory, wanted)
    else:
        _write_server_env(directory, wanted, *passwords(directory))
    write_public(directory.settings, json.dumps(asdict(wanted), indent=2) + "\n")
    write_configuration(directory)
    return new


def load(directory: BrokerDirectory) -> BrokerSettings:
    """What `init` was told. Raises DirectoryError."""
    try:
        found = json.loads(directory.settings.read_text(encoding="utf-8"))
        return BrokerSettings(**{**found, "hosts": tuple(found["hosts"])})
    except FileNotFoundError:
        raise DirectoryError(
            f"{directory.path} holds no broker yet. Make one: python -m broker init --dir {directory.path}"
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DirectoryError(f"{directory.settings} can't be read: {error}") from error


def changed(settings: BrokerSettings, **wanted: Any) -> BrokerSettings:
    """The settings with what is wanted, None being no wish."""
    return replace(settings, **{name: value for name, value in wanted.items() if value is not None})


def default_settings() -> BrokerSettings:
    """For this machine: its own name, and a quarter of its memory for what waits, at most 1 GiB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    queue = max(_SMALLEST_QUEUE_MB, min(_LARGEST_QUEUE_MB, memory // 4))
    return BrokerSettings(hosts=(socket.gethostname(),), queue_mb=queue)


def certified_hosts(settings: BrokerSettings) -> tuple[str, ...]:
    """What the server's certificate is for: what devices were told, and this machine by its usual names."""
    plain = () if settings.plain_address is None else (settings.plain_address,)
    return tuple(dict.fromkeys((*settings.hosts, *plain, socket.gethostname(), "localhost", "127.0.0.1")))


def write_configuration(directory: BrokerDirectory) -> None:
    """Write mosquitto.conf anew. Raises DirectoryError, mosquitto.NoMosquitto."""
    text = mosquitto_conf(directory.absolute(), load(directory), find_plugin(), owner(directory.path))
    write_public(directory.configuration, text)


def owner(path: Path) -> str:
    """The user whose directory it is."""
    user = path.stat().st_uid
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        raise DirectoryError(f"{path} belongs to user {user}, who has no name on this machine") from None


def administrator(directory: BrokerDirectory, port: int | None = None) -> Administrator:
    """The login that may change accounts, on the loopback listener. Raises DirectoryError."""
    _, password = passwords(directory)
    return Administrator("127.0.0.1", port or load(directory).port, access.ADMINISTRATOR, password)


def passwords(directory: BrokerDirectory) -> tuple[str, str]:
    """The server's password and the administrator's. Raises DirectoryError."""
    try:
        lines = dict(
            line.split("=", 1)
            for line in directory.server_env.read_text(encoding="utf-8").splitlines()
            if "=" in line and not line.startswith("#")
        )
        server = lines["MQTT_URL"].split("://", 1)[1].rsplit("@", 1)[0].split(":", 1)[1]
        return server, lines["MQTT_ADMIN_PASSWORD"]
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise DirectoryError(f"{directory.server_env} can't be read: {error!r}") from error


def _make_accounts(directory: BrokerDirectory, settings: BrokerSettings) -> None:
    server, admin = secrets.token_urlsafe(_PASSWORD_BYTES), secrets.token_urlsafe(_PASSWORD_BYTES)
    logins = [(access.ADMINISTRATOR, admin, None), (access.SERVER, server, access.of_server(settings.root))]
    write_private(directory.dynamic_security, first_file(logins))
    _write_server_env(directory, settings, server, admin)


def _write_server_env(directory: BrokerDirectory, settings: BrokerSettings, server: str, admin: str) -> None:
    root = "" if settings.root == "iot" else f"TOPIC_ROOT={settings.root}\n"
    host = f"[{settings.hosts[0]}]" if ":" in settings.hosts[0] else settings.hosts[0]
    plain = ""
    if settings.plain_address is not None:
        address = f"[{settings.plain_address}]" if ":" in settings.plain_address else settings.plain_address
        plain = f"MQTT_DEVICE_PLAIN_URL=mqtt://{address}:{settings.port}\n"
    text = (
        "# The server's logins at its broker: for its .env, or EnvironmentFile= of a systemd unit.\n"
        f"MQTT_URL=mqtt://{access.SERVER}:{quote(server, safe='')}@127.0.0.1:{settings.port}\n"
        f"MQTT_ADMIN_USER={access.ADMINISTRATOR}\n"
        f"MQTT_ADMIN_PASSWORD={admin}\n"
        "# What it tells devices: where the broker is, and what they know it by.\n"
        f"MQTT_DEVICE_URL=mqtts://{host}:{settings.tls_port}\n{plain}"
        f"MQTT_DEVICE_CA_FILE={Authority(directory.absolute().certificates).certificate}\n{root}"
    )
    if not directory.server_env.exists() or directory.server_env.read_text(encoding="utf-8") != text:
        write_private(directory.server_env, text)
