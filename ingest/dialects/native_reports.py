"""What a device reports of itself: status, about, and the state of its actuators; and what a site's bridge does.

CONTRACT, "MQTT: native topics".
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from db.bridges import BridgeReport
from db.devices import About, ActuatorAbout, ActuatorState, Status
from ingest.dialects import topics
from ingest.dialects.decoded import Report
from ingest.dialects.payload import Refused, checked_metric, kind_of, to_document, to_number, to_text
from ingest.message import Message

_ABOUT_ENTRIES: Final = 500


def to_report(message: Message, topic: topics.Topic) -> Report:
    """The record of a message whose topic is a status, an about or a state, or a bridge's.

    Raises:
        Refused: If its payload can't be understood.
        UnknownTopic: If an actuator's name breaks the pattern.
    """
    if topic.kind == "status":
        return _status(message, topic.device)
    if topic.kind == "about":
        return _about(message, topic.device)
    if topic.kind == "bridge":
        return _bridge(message, topic.name)
    return _state(message, topic.device, topic.name)


def _status(message: Message, device: str) -> Status:
    text = to_text(message.payload).strip()
    if text not in ("online", "offline"):
        raise Refused(f"status: {text[:40]!r}; expected online or offline")
    return Status(device, text == "online")


def _bridge(message: Message, site: str) -> BridgeReport:
    text = to_text(message.payload).strip()
    if text not in ("1", "0"):
        raise Refused(f"bridge state: {text[:40]!r}; expected 1 or 0")
    return BridgeReport(site, text == "1")


class _ActuatorPayload(msgspec.Struct):
    name: str
    min: float | None = None
    max: float | None = None
    step: float | None = None
    unit: str | None = None


class _AboutPayload(msgspec.Struct):
    model: str | None = None
    firmware: str | None = None
    actuators: list[str | _ActuatorPayload] = []
    units: dict[str, str] = {}


def _about(message: Message, device: str) -> About:
    try:
        payload = msgspec.json.decode(message.payload, type=_AboutPayload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Refused(f"about: {error}") from None
    if len(payload.actuators) > _ABOUT_ENTRIES or len(payload.units) > _ABOUT_ENTRIES:
        raise Refused(f"about: at most {_ABOUT_ENTRIES} actuators and {_ABOUT_ENTRIES} units are taken")
    for name, text, longest in (("model", payload.model, 128), ("firmware", payload.firmware, 128)):
        if text is not None and (len(text) > longest or not text.isprintable()):
            raise Refused(f"about: {name}: expected at most {longest} printable characters")
    for metric, unit in payload.units.items():
        try:
            checked_metric(metric)
        except Refused as refused:
            raise Refused(f"about: units: {refused}") from None
        _unit(unit)
    return About(
        device, payload.model, payload.firmware, tuple(_actuator(item) for item in payload.actuators), payload.units
    )


def _actuator(item: str | _ActuatorPayload) -> ActuatorAbout:
    payload = _ActuatorPayload(item) if isinstance(item, str) else item
    if payload.name == "resend":
        raise Refused("about: actuators: none may be called 'resend'")
    if payload.unit is not None:
        _unit(payload.unit)
    name = topics.checked_name("actuator", payload.name)
    return ActuatorAbout(name, payload.min, payload.max, payload.step, payload.unit)


def _unit(unit: str) -> None:
    if len(unit) > 32 or not unit.isprintable():
        raise Refused("about: a unit has at most 32 printable characters")


def _state(message: Message, device: str, actuator: str) -> ActuatorState:
    text = to_text(message.payload).strip()
    if not text.startswith(("{", '"')):
        return ActuatorState(device, actuator, _state_value(text), None)
    document = to_document(message.payload)
    if isinstance(document, str):
        return ActuatorState(device, actuator, _state_value(document), None)
    if not isinstance(document, dict):
        raise Refused(f"state: {kind_of(document)}; expected ON, OFF, a number or an object with a state")
    command = document.get("id")
    if command is not None and not (isinstance(command, str) and 1 <= len(command) <= 36 and command.isprintable()):
        raise Refused("state: id: expected a text of at most 36 characters")
    return ActuatorState(device, actuator, _state_value(document.get("state")), command)


def _state_value(value: object) -> str:
    """ON, OFF or a finite number, as text."""
    if isinstance(value, str) and value.upper() in ("ON", "OFF"):
        return value.upper()
    try:
        number = float(value) if isinstance(value, str) else to_number(value)
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise Refused(f"state: {value!r:.40}; expected ON, OFF or a number")
    return repr(number + 0.0).removesuffix(".0")  # as short as it can be and exact
