"""Who may publish and read what at the broker: an account's kind and its topics. Pure.

Accounts are clients of Mosquitto's dynamic security plugin. That knows no placeholder for a client's name, so each
account has a role of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["device", "site", "server"]

#: The server's own account, and the one that changes accounts.
SERVER: Final = "smart-monitor"
ADMINISTRATOR: Final = "smart-monitor-admin"
#: The administrator's role, of the name that Mosquitto's own tool gives it.
ADMINISTRATOR_ROLE: Final = "admin"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_HELP: Final = "allowed: 1 to 64 of A-Z a-z 0-9 . _ - beginning with a letter or a digit"


class NameRefused(ValueError):  # it says what happened
    """A name that no account can have. The text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Access:
    """Topic filters: those of messages it may publish, and of subscriptions and messages it may have."""

    kind: Kind
    publish: tuple[str, ...]
    read: tuple[str, ...]

    def role(self, name: str) -> str:
        """What the role of the account `name` is called."""
        return f"{self.kind} {name}"


def of_device(name: str, root: str = "iot") -> Access:
    """What `name` may do below the topic root `root`: send its own, read its own commands, and nothing else.

    Where the root begins with `+`, the device's name does with its site: `site1/kitchen`. Raises NameRefused.
    """
    base = _base(name, root)
    return Access("device", (f"{base}/+", f"{base}/+/state"), (f"{base}/+/set",))


def of_site(name: str, root: str = "iot") -> Access:
    """What the bridge of site `name` may do at the broker in the cloud. `root` is the site's. Raises NameRefused."""
    check_name(name, "site")
    base = f"{name}/{root}"
    up = (f"{base}/+/+", f"{base}/+/+/state", f"{name}/bridge/state")
    return Access("site", (*up, f"{name}/doctor/+"), (f"{base}/+/+/set", f"{name}/doctor/+"))


def of_server(root: str = "iot") -> Access:
    """What the server may do: read all below the root, alone or shared among workers, send commands and probes."""
    read = [f"{root}/#", f"$share/+/{root}/#", "$SYS/broker/#", "doctor/+/+/+"]
    if root.startswith("+/"):
        read.append("+/bridge/state")
    return Access("server", (f"{root}/+/+/set", "doctor/+/up/+"), tuple(read))


def check_name(name: str, what: str) -> None:
    """Raise NameRefused unless `name` is one level of a topic and no account of ours. `what` names it in the error."""
    if not _NAME.fullmatch(name):
        raise NameRefused(f"{what} {name[:80]!r}: {_NAME_HELP}")
    if name in {SERVER, ADMINISTRATOR}:
        raise NameRefused(f"{what} {name!r}: that account is the server's own; choose another name")


def _base(name: str, root: str) -> str:
    if not root.startswith("+/"):
        check_name(name, "device")
        return f"{root}/{name}"
    site, slash, device = name.partition("/")
    if not slash:
        raise NameRefused(f"device {name[:80]!r}: with TOPIC_ROOT={root} a device is called <site>/<device>")
    check_name(site, "site")
    check_name(device, "device")
    return f"{site}{root[1:]}/{device}"
