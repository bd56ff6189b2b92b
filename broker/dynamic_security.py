"""Talks to Mosquitto's dynamic security plugin, which knows who may connect and do what, and changes it at once.

Commands go as JSON to `$CONTROL/dynamic-security/v1`, a list at a time, and are answered one by one. Source:
https://mosquitto.org/documentation/dynamic-security/ and, for the file, the plugin's own (Mosquitto 2.0).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from broker.access import ADMINISTRATOR_ROLE, Access
from broker.connection import Connection, Endpoint, NotIn

_TOPIC: Final = "$CONTROL/dynamic-security/v1"
_ANSWERS: Final = f"{_TOPIC}/response"
#: As many as Mosquitto's own tool. The passwords are drawn at random, 144 bits: there is nothing to guess.
_ITERATIONS: Final = 101

Command = dict[str, Any]


class AdministrationError(Exception):
    """The broker's accounts could not be asked or changed. The text says why and what to do."""


class AdministrationAway(AdministrationError):  # it says what happened
    """There is no broker, or none that answers. `begun`: it was told what to do, and may have done it."""

    def __init__(self, message: str, *, begun: bool = False) -> None:
        super().__init__(message)
        self.begun = begun


class Refused(AdministrationError):  # it says what happened
    """The plugin did not do it. `reason` is its own word, `command` that of the one it refused."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"the broker refused {command}: {reason}")
        self.command, self.reason = command, reason


@dataclass(frozen=True, slots=True)
class Administrator:
    """Where the broker is, and the login that may change its accounts. `ca_file` None with `tls`: the system's."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    tls: bool = False
    ca_file: Path | None = None
    timeout_s: float = 5.0

    @property
    def endpoint(self) -> Endpoint:
        """The same as something to connect to."""
        return Endpoint(self.host, self.port, self.username, self.password, self.tls, self.ca_file)


def ask(administrator: Administrator, commands: Sequence[Command]) -> list[dict[str, Any]]:
    """Have the plugin do the commands, in order; what it answered to each.

    It stops at none: what follows a refused one is done. Raises AdministrationAway, or Refused for the first refused,
    AdministrationError where the login may not ask.
    """
    answers = _exchange(administrator, commands)
    for answer in answers:
        if "error" in answer:
            raise Refused(str(answer.get("command", "it")), str(answer["error"]))
    return [answer.get("data", {}) for answer in answers]


def _exchange(administrator: Administrator, commands: Sequence[Command]) -> list[dict[str, Any]]:
    where = f"{administrator.host}:{administrator.port}"
    changes = any(not str(command["command"]).startswith(("get", "list")) for command in commands)
    asked = False
    try:
        with Connection(administrator.endpoint, administrator.timeout_s) as connection:
            if not connection.subscribe(_ANSWERS):
                raise AdministrationError(f"{administrator.username} may not change the broker's accounts")
            asked = True
            connection.publish(_TOPIC, json.dumps({"commands": list(commands)}).encode())
            if connection.wait(lambda: bool(connection.heard)):
                return _answers(connection.heard[0].payload)
    except NotIn as error:
        if error.kind == "refused":
            raise AdministrationError(
                f"the broker refuses the administrator's login ({error.reason}). Are the name and password right?"
            ) from error
        raise AdministrationAway(_in_words(error, where, administrator.timeout_s), begun=asked and changes) from error
    raise AdministrationAway(
        f"the broker at {where} took the login and did not answer within {administrator.timeout_s:g} s. Has it the "
        "dynamic security plugin?",
        begun=changes,
    )


def _in_words(error: NotIn, where: str, timeout_s: float) -> str:
    if error.kind == "silent":
        return f"the broker at {where} did not answer within {timeout_s:g} s"
    if error.kind == "ended":
        return f"the broker at {where} ended the connection"
    return f"no broker answers at {where}: {error.reason}"


def _answers(payload: bytes) -> list[dict[str, Any]]:
    try:
        return list(json.loads(payload)["responses"])
    except (ValueError, KeyError, TypeError) as error:
        raise AdministrationError(f"the broker's answer can't be read ({error})") from error


def entries(access: Access) -> list[dict[str, Any]]:
    """The access as entries of a role."""
    rules = [("publishClientSend", topic) for topic in access.publish]
    for topic in access.read:
        rules.append(("subscribePattern", topic))
        if not topic.startswith("$share/"):
            rules.append(("publishClientReceive", topic))
    return [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in rules]


def first_file(logins: Sequence[tuple[str, str, Access | None]]) -> str:
    """The plugin's file for a new broker: nothing is allowed but what an account's role allows.

    `logins`: name, password and access of each account; None is the administrator's.
    """
    clients, roles = [], []
    for name, password, access in logins:
        role = ADMINISTRATOR_ROLE if access is None else access.role(name)
        clients.append({"username": name, "roles": [{"rolename": role}], **_hashed(password)})
        roles.append({"rolename": role, "acls": _administration() if access is None else entries(access)})
    defaults = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True}
    return json.dumps({"defaultACLAccess": defaults, "clients": clients, "groups": [], "roles": roles}, indent=2)


def _administration() -> list[dict[str, Any]]:
    kinds = ("publishClientSend", "publishClientReceive", "subscribePattern")
    return [{"acltype": kind, "topic": "$CONTROL/dynamic-security/#", "priority": 0, "allow": True} for kind in kinds]


def _hashed(password: str) -> dict[str, Any]:
    """PBKDF2 with SHA-512, as the plugin writes it."""
    salt = secrets.token_bytes(12)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return {
        "password": base64.b64encode(derived).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": _ITERATIONS,
    }
