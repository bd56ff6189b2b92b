"""Accounts of devices, and of sites' bridges, at Mosquitto: made, listed, given another password, revoked.

What changes here holds at once, without a restart: who is revoked, or has another password, is disconnected.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

from broker import access
from broker.access import Access, Kind
from broker.dynamic_security import Administrator, Command, Refused, ask, entries

#: 144 bits.
_PASSWORD_BYTES: Final = 18


class AccountExists(Exception):
    """There is such an account already. The text says what to do."""


class NoSuchAccount(Exception):
    """There is no such account."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """With what a device logs in. The password is known here alone, once. None: it has a certificate instead."""

    username: str
    password: str | None
    client_id: str


@dataclass(frozen=True, slots=True)
class Account:
    """Who may connect. `revoked`: it may not any more, and its name is kept so that a certificate stays refused."""

    name: str
    kind: Kind
    revoked: bool


def add(
    administrator: Administrator,
    name: str,
    root: str = "iot",
    kind: Literal["device", "site"] = "device",
    *,
    certificate: bool = False,
) -> Credentials:
    """Make an account, or give a revoked one new credentials.

    With `certificate` it has no password: who shows a certificate of that name is let in. Raises access.NameRefused,
    AccountExists, dynamic_security.AdministrationError.
    """
    allowed = access.of_device(name, root) if kind == "device" else access.of_site(name, root)
    there = find(administrator, name)
    if there is not None and not there.revoked:
        raise AccountExists(
            f"There is an account {name} already. Give it another password (rotate) or revoke it first."
        )
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    before = _without(administrator, name, allowed, ours=there is not None)
    ask(administrator, [*before, *_made(name, allowed, password)])
    return Credentials(name, None if certificate else password, name)


def rotate(administrator: Administrator, name: str) -> Credentials:
    """Give an account another password; what is connected with the old one is disconnected.

    Raises NoSuchAccount, also for a revoked one, dynamic_security.AdministrationError.
    """
    if _get(administrator, name).revoked:
        raise NoSuchAccount(f"{name} is revoked. To let it in again, add it.")
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    ask(administrator, [_about("setClientPassword", name, password=password)])
    return Credentials(name, password, name)


def revoke(administrator: Administrator, name: str) -> None:
    """End an account's connection and let it in no more, with password or certificate.

    Raises NoSuchAccount, dynamic_security.AdministrationError.
    """
    account = _get(administrator, name)
    # For a certificate Mosquitto asks the plugin for no login, disabled or not: so it may do nothing as well.
    nothing = {"command": "modifyRole", "rolename": f"{account.kind} {name}", "acls": []}
    ask(administrator, [nothing, _about("disableClient", name)])


def forget(administrator: Administrator, name: str) -> None:
    """Take an account away, its name and role with it. Harmless if there is none.

    A certificate of that name is let in again then, and may do nothing. Raises dynamic_security.AdministrationError.
    """
    there = find(administrator, name)
    if there is not None:
        role = f"{there.kind} {name}"
        ask(administrator, [_about("deleteClient", name), {"command": "deleteRole", "rolename": role}])


def accounts(administrator: Administrator) -> tuple[Account, ...]:
    """All accounts of devices and sites, by name. Raises dynamic_security.AdministrationError."""
    (answer,) = ask(administrator, [{"command": "listClients", "verbose": True}])
    found = (_account(client) for client in answer["clients"])
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.name))


def find(administrator: Administrator, name: str) -> Account | None:
    """The account of this name, None where there is none of ours. Raises dynamic_security.AdministrationError."""
    try:
        (answer,) = ask(administrator, [_about("getClient", name)])
    except Refused as refused:
        if refused.reason == "Client not found":
            return None
        raise
    return _account(answer["client"])


def _made(name: str, allowed: Access, password: str) -> list[Command]:
    role = allowed.role(name)
    return [
        {"command": "createRole", "rolename": role, "acls": entries(allowed)},
        # The client id is the account's alone: with another's, a device would throw that one out.
        _about("createClient", name, password=password, clientid=name, roles=[{"rolename": role}]),
    ]


def _without(administrator: Administrator, name: str, allowed: Access, *, ours: bool) -> list[Command]:
    """What takes away what is left of a revoked account, or of one that was half made when something failed.

    Raises AccountExists for a client that is not `ours`: it may be the administrator.
    """
    clients, roles = ask(administrator, [{"command": "listClients"}, {"command": "listRoles"}])
    commands = []
    if name in clients["clients"]:
        if not ours:
            raise AccountExists(f"There is an account {name} already, which another tool made. Choose another name.")
        commands.append(_about("deleteClient", name))
    commands += [
        {"command": "deleteRole", "rolename": role}
        for role in {allowed.role(name), f"device {name}", f"site {name}"} & set(roles["roles"])
    ]
    return commands


def _about(command: str, name: str, **more: Any) -> Command:
    return {"command": command, "username": name, **more}


def _get(administrator: Administrator, name: str) -> Account:
    account = find(administrator, name)
    if account is None:
        raise NoSuchAccount(f"There is no account {name[:80]} at the broker.")
    return account


def _account(client: dict[str, Any]) -> Account | None:
    """None for one that is not ours: somebody made it with another tool, or it is the server's."""
    for role in client.get("roles", []):
        kind, _, name = str(role.get("rolename", "")).partition(" ")
        if name == client["username"] and kind in {"device", "site"}:
            return Account(name, "device" if kind == "device" else "site", bool(client.get("disabled", False)))
    return None
