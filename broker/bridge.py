"""A bridge as it was asked for: which site, to which broker, by what login."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal

FarEnd = Literal["mosquitto", "emqx", "hivemq", "nats", "other"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?")
#: Mosquitto's own bounds for a pause are wider; above this nobody would believe that it still tries.
_LONGEST_PAUSE_S: Final = 3600
#: Bytes. Brokers commonly take 1 MiB, and our server no payload of more than 1,000,000.
LARGEST_PACKET: Final = 1_000_000


class BadBridge(ValueError):
    """A value that can't be used. `field` is that of Bridge."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


@dataclass(frozen=True, slots=True)
class Bridge:
    """One connection of the site's broker to a broker elsewhere. Raises BadBridge where a value can't be used.

    `site` stands before every topic there; `root` are the first levels of the topics here. `tls`: by `own_ca`, a file
    beside this one, else by the authorities that the system trusts. `certificate`: it shows one, with its key.
    `client_id`: at the far end, for whom it keeps a session. Times are seconds: after a failure the bridge waits
    between `pause_s` and `longest_pause_s`; after `keepalive_s` without a word it asks, and half as long after that it
    takes the connection for dead. `largest_packet`: bytes; what is larger does not go up.
    """

    name: str
    site: str
    host: str
    port: int
    client_id: str
    tls: bool = True
    own_ca: bool = False
    certificate: bool = False
    user: str | None = None
    password: str | None = None
    far_end: FarEnd = "other"
    root: str = "iot"
    pause_s: int = 10
    longest_pause_s: int = 60
    keepalive_s: int = 30
    largest_packet: int = LARGEST_PACKET

    def __post_init__(self) -> None:
        for field in ("name", "site", "client_id"):
            check_name(field, getattr(self, field))
        for level in self.root.split("/"):
            check_name("root", level)
        if not _HOST.fullmatch(self.host):
            raise BadBridge("host", f"{self.host[:80]!r} is no host name and no address.")
        if not 0 < self.port < 65_536:
            raise BadBridge("port", f"{self.port} is no port: expected 1 to 65535.")
        for field in ("user", "password"):
            _check_word(field, getattr(self, field))
        if self.password is not None and self.user is None:
            raise BadBridge("user", "a password needs a user.")
        if not self.tls and (self.certificate or self.own_ca):
            raise BadBridge("tls", "certificates need TLS.")
        self._check_bounds()

    def _check_bounds(self) -> None:
        if not 1 <= self.pause_s <= self.longest_pause_s <= _LONGEST_PAUSE_S:
            raise BadBridge("pause_s", f"expected 1 <= pause <= longest pause <= {_LONGEST_PAUSE_S} seconds.")
        if not 5 <= self.keepalive_s <= 65_535:
            raise BadBridge("keepalive_s", "Mosquitto takes 5 to 65535 seconds.")
        if not 1_000 <= self.largest_packet <= 268_435_455:
            raise BadBridge("largest_packet", "expected 1000 to 268435455 bytes.")

    @property
    def login(self) -> str:
        """By what the far end knows it, in words."""
        found = [*(["certificate"] if self.certificate else []), *([f"user {self.user}"] if self.user else [])]
        return " and ".join(found) or "nothing"


def check_name(field: str, text: str) -> None:
    """Whether it can be a level of a topic, a file's name and a word of Mosquitto's configuration. Raises BadBridge."""
    if not _NAME.fullmatch(text):
        raise BadBridge(
            field,
            f"{text[:80]!r} can't be used: expected 1 to 64 letters, digits, '.', '_' or '-', the first one a letter "
            "or a digit.",
        )


def _check_word(field: str, text: str | None) -> None:
    """Mosquitto's configuration has no quotes: a line's end or a space at an end would be lost."""
    if text is None:
        return
    if not text or len(text) > 1000:
        raise BadBridge(field, "expected 1 to 1000 characters.")
    if text != text.strip() or not text.isprintable():
        raise BadBridge(field, "it may not begin or end with a space, nor have characters that can't be seen.")


def is_loopback(host: str) -> bool:
    """Whether this machine alone is behind it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
