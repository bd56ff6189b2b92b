"""Talks to Mosquitto's dynamic security plugin, which knows who may connect and do what, and changes it at once.

Commands go as JSON to `$CONTROL/dynamic-security/v1`, a list at a time, and are answered one by one. Source:
https://mosquitto.org/documentation/dynamic-security/ and, for the file, the plugin's own (Mosquitto 2.0).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from broker.access import ADMINISTRATOR_ROLE, Access

_TOPIC: Final = "$CONTROL/dynamic-security/v1"
_ANSWERS: Final = f"{_TOPIC}/response"
_LOOK_S: Final = 0.05
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


def ask(administrator: Administrator, commands: Sequence[Command]) -> list[dict[str, Any]]:
    """Have the plugin do the commands, in order; what it answered to each.

    It stops at none: what follows a refused one is done. Raises AdministrationAway, or Refused for the first refused.
    """
    changes = any(not str(command["command"]).startswith(("get", "list")) for command in commands)
    answers = _exchange(administrator, json.dumps({"commands": list(commands)}), changes=changes)
    for answer in answers:
        if "error" in answer:
            raise Refused(str(answer.get("command", "it")), str(answer["error"]))
    return [answer.get("data", {}) for answer in answers]


def _exchange(administrator: Administrator, question: str, *, changes: bool) -> list[dict[str, Any]]:
    conversation = _Conversation(administrator, question, changes=changes)
    try:
        return conversation.run()
    finally:
        conversation.close()


class _Conversation:
    """One connection, one question, its answer. All in the calling thread."""

    def __init__(self, administrator: Administrator, question: str, *, changes: bool) -> None:
        self._to = administrator
        self._question = question
        self._changes = changes
        self._answer: list[dict[str, Any]] | None = None
        self._failed = ""
        self._asked = False
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="", protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(administrator.username, administrator.password)
        if administrator.tls:
            client.tls_set_context(ssl.create_default_context(cafile=administrator.ca_file))
        client.connect_timeout = administrator.timeout_s
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    def run(self) -> list[dict[str, Any]]:
        where = f"{self._to.host}:{self._to.port}"
        deadline = time.monotonic() + self._to.timeout_s
        try:
            # The keep-alive is also how long paho waits for TLS.
            self._client.connect(self._to.host, self._to.port, keepalive=max(1, round(self._to.timeout_s)))
        except OSError as error:
            raise AdministrationAway(f"no broker answers at {where}: {error.strerror or error}") from error
        while not self._ended():
            code = self._client.loop(_LOOK_S)
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS and not self._ended():
                gone = f"the broker at {where} ended the connection ({paho.error_string(code)})"
                raise AdministrationAway(gone, begun=self._asked and self._changes)
            if time.monotonic() > deadline:
                raise AdministrationAway(self._too_slow(where), begun=self._asked and self._changes)
        if self._answer is None:
            raise AdministrationError(self._failed)
        return self._answer

    def _too_slow(self, where: str) -> str:
        if not self._asked:
            return f"the broker at {where} did not answer within {self._to.timeout_s:g} s"
        return (
            f"the broker at {where} took the login and did not answer within {self._to.timeout_s:g} s. Has it "
            "the dynamic security plugin?"
        )

    def _ended(self) -> bool:
        return self._answer is not None or bool(self._failed)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it went before us
            self._client.disconnect()
        self._client.loop(0)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._failed = f"the broker refuses the administrator's login ({reason}). Are the name and password right?"
            return
        client.subscribe(_ANSWERS, 1)

    def _on_subscribe(self, client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if reasons[0].is_failure:
            self._failed = f"{self._to.username} may not change the broker's accounts ({reasons[0]})"
            return
        self._asked = True
        client.publish(_TOPIC, self._question, 1)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            self._answer = list(json.loads(message.payload)["responses"])
        except (ValueError, KeyError, TypeError) as error:
            self._failed = f"the broker's answer can't be read ({error})"


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
