"""The native dialect: JSON telemetry, bare numbers, status, about, state. CONTRACT, "MQTT: native topics"."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from db.devices import About, ActuatorAbout, ActuatorState, Status
from db.readings import Sample
from ingest.dialects import topics
from ingest.dialects.decoded import Decoded, Report
from ingest.message import Message

T = TypeVar("T")

_RESERVED: Final = frozenset({"ts", "age", "seq", "boot", "gone"})
#: Below this a `ts` is in seconds: as ms it would lie before March 1973, as seconds after the year 5000.
_SECONDS_BELOW: Final = 100_000_000_000
_FUTURE_MS: Final = 86_400_000
_LARGEST_INTEGER: Final = 2**63 - 1
_LARGEST_FLOAT: Final = sys.float_info.max
#: Topics and names of metrics that were found right are not checked anew with each message.
_NAMES_REMEMBERED: Final = 65_536
#: Sets of keys that were found right, each of a few keys at most, so that all of them together stay small.
_SHAPES_REMEMBERED: Final = 4_096
_PLAIN_KEYS: Final = 16
_METRIC_LENGTH: Final = 128
_BOOT_LENGTH: Final = 64
_DEEPEST: Final = 32
_ABOUT_ENTRIES: Final = 500
_PROBLEMS_SHOWN: Final = 20


class _Refused(ValueError):
    """A part of a message can't be understood. The text names the field."""


def decode(message: Message, root: str, largest_payload: int) -> Decoded | None:
    """Records of a message under `root`; None for what is passed over: our own `…/set`.

    Never raises for anything a device can send: what can't be understood comes back in `problems`.
    """
    try:
        topic = topics.parse(message.topic, root)
        if topic.kind == "set":
            return None
        if message.size > largest_payload:
            raise _Refused(f"the message has {message.size} bytes; allowed are {largest_payload} (MAX_MESSAGE_BYTES)")
        if message.size > len(message.payload):
            raise _Refused(f"its MQTT properties are too large to hold beside its {message.size} bytes")
        if topic.kind == "telemetry":
            return _telemetry(message, topic.device)
        if topic.kind == "metric":
            return _metric(message, topic.device, topic.name)
        return Decoded(message, report=_report(message, topic))
    except (topics.UnknownTopic, _Refused) as error:
        return Decoded(message, problems=(_printable(str(error)),))


def _report(message: Message, topic: topics.Topic) -> Report:
    if topic.kind == "status":
        return _status(message, topic.device)
    if topic.kind == "about":
        return _about(message, topic.device)
    return _state(message, topic.device, topic.name)


# Telemetry


@dataclass(slots=True)
class _Findings:
    """What was wrong with a message so far, and how many readings that cost."""

    problems: list[str]
    rejected: int = 0

    def reject(self, problem: str, readings: int = 1) -> None:
        self.rejected += readings
        self.note(problem)

    def note(self, problem: str) -> None:
        if len(self.problems) < _PROBLEMS_SHOWN:
            self.problems.append(_printable(problem))


def _telemetry(message: Message, device: str) -> Decoded:
    document = _json(message.payload)
    findings = _Findings([])
    if type(document) is dict:
        plain = _plain_sample(document, device, message.received_at)
        if plain is not None:
            return Decoded(message, (plain,))
    items = document if isinstance(document, list) else [document]
    samples: list[Sample] = []
    for index, item in enumerate(items):
        where = f"[{index}]." if isinstance(document, list) else ""
        if not isinstance(item, dict):
            what = f"[{index}]" if isinstance(document, list) else "the message"
            findings.note(f'{what} is {_kind(item)}; expected an object such as {{"temperature": 21.5}}')
            continue
        sample = _sample(item, device, message.received_at, where, findings)
        if sample is not None:
            samples.append(sample)
    if not any(sample.values for sample in samples) and not findings.problems:
        findings.note("the message holds no reading")
    return Decoded(message, tuple(samples), None, findings.rejected, tuple(findings.problems))


def _sample(item: dict[str, Any], device: str, received_at: int, where: str, findings: _Findings) -> Sample | None:
    values = tuple(_values(item, where, findings))
    if "gone" in item:
        findings.note(f"{where}gone: nothing was asked to be sent again")
    seq, boot = item.get("seq"), item.get("boot")
    if seq is not None:
        seq = _optional(_seq, seq, where, findings)
    if boot is not None:
        boot = _optional(_boot, boot, where, findings)
    ts, age = item.get("ts"), 0
    try:
        if ts is not None:
            ts = _ts(ts, received_at)
        elif item.get("age") is not None:
            age = _age(item["age"], received_at)
    except _Refused as refused:
        findings.reject(f"{where}{refused}", len(values))
        values, ts, age = (), None, 0
    # A sample without values still says that its sequence number arrived.
    return Sample(device, values, ts, age, seq, boot) if values or seq is not None else None


def _optional(parse: Callable[[object], T], value: object, where: str, findings: _Findings) -> T | None:
    """The parsed value; None where it is wrong, which costs no reading."""
    try:
        return parse(value)
    except _Refused as refused:
        findings.note(f"{where}{refused}")
        return None


def _plain_sample(item: dict[str, Any], device: str, received_at: int) -> Sample | None:
    """What `_sample` makes of an object with nothing wrong or rare in it, as nearly all are; None for any other.

    It takes half the time, and this is where most of a message's own microseconds go.
    """
    ts, seq, boot = item.get("ts"), item.get("seq"), item.get("boot")
    timed = (type(ts) is int and _SECONDS_BELOW <= ts <= received_at + _FUTURE_MS) or (ts is None and "age" not in item)
    numbered = seq is None or (type(seq) is int and 0 <= seq <= _LARGEST_INTEGER)
    started = boot is None or (type(boot) is str and 1 <= len(boot) <= _BOOT_LENGTH and boot.isprintable())
    values = _plain_values(item) if timed and numbered and started else ()
    return Sample(device, values, ts, 0, seq, boot) if values else None


def _plain_values(item: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    """What `_values` gives for a few plain finite numbers, () for anything else."""
    try:
        names = _plain_names(tuple(item)) if len(item) <= _PLAIN_KEYS else ()
    except _Refused:
        return ()
    found = []
    for name in names:
        value = item[name]
        kind = type(value)
        if (kind is not float and kind is not int) or not -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT:
            return ()
        found.append((name, value + 0.0))
    return tuple(found)


@lru_cache(_SHAPES_REMEMBERED)
def _plain_names(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Those of an object's keys that are metrics, none if it answers a resend.

    Raises _Refused if one is no right name: that is not remembered, however long the name.
    """
    return () if "gone" in keys else tuple([_metric_name(key) for key in keys if key not in _RESERVED])


def _values(item: dict[str, Any], where: str, findings: _Findings) -> Iterator[tuple[str, float]]:
    """(metric, value) of every finite number, nested names joined with a dot; what is none of these is rejected."""
    pending = [(key, value, 1) for key, value in reversed(item.items()) if key not in _RESERVED]
    while pending:
        name, value, depth = pending.pop()
        if value is None:
            continue
        if isinstance(value, dict):
            if depth >= _DEEPEST:
                findings.reject(f"{where}{name[:80]}: nested more than {_DEEPEST} levels deep")
                continue
            pending += [(f"{name}.{key}", inner, depth + 1) for key, inner in reversed(value.items())]
            continue
        try:
            yield _metric_name(name), _number(value)
        except _Refused as refused:
            shown = name if len(name) <= 80 else f"{name[:80]}…"
            findings.reject(f"{where}{shown}: {refused}")


@lru_cache(_NAMES_REMEMBERED)
def _metric_name(name: str) -> str:
    if not 1 <= len(name) <= _METRIC_LENGTH:
        raise _Refused(f"a metric's name has 1 to {_METRIC_LENGTH} characters, this one {len(name)}")
    if not name.isprintable():
        raise _Refused("a metric's name has printable characters only")
    return name


def _number(value: object) -> float:
    """The value as float64, -0.0 as 0.0, booleans as 0 and 1."""
    if not isinstance(value, int | float):
        raise _Refused(f"{_kind(value)}; expected a number")
    try:
        number = float(value) + 0.0
    except OverflowError:
        raise _Refused("a number too large for a float64") from None
    if not math.isfinite(number):
        raise _Refused(f"{number} is no finite number")
    return number


def _ts(value: object, received_at: int) -> int:
    """UTC ms from a `ts` in ms or in seconds, fractions rounded to ms."""
    number = _plain_number("ts", value)
    ts = round(number * 1000 if number < _SECONDS_BELOW else number)
    if ts > received_at + _FUTURE_MS:
        raise _Refused(f"ts: {value} is more than 24 h in the future")
    return ts


def _age(value: object, received_at: int) -> int:
    age = round(_plain_number("age", value))
    if age > received_at:
        raise _Refused(f"age: {value!s:.40} ms ago was before 1970")
    return age


def _plain_number(name: str, value: object) -> float:
    if type(value) is not int and type(value) is not float:  # a boolean is no number here
        raise _Refused(f"{name}: {_kind(value)}; expected a number of milliseconds")
    if not 0 <= value <= _LARGEST_INTEGER:  # false for NaN as well
        raise _Refused(f"{name}: {value!s:.40} is out of range; expected milliseconds from 0 on")
    return value


def _seq(value: object) -> int:
    if type(value) is int and 0 <= value <= _LARGEST_INTEGER:
        return value
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not 0 <= value <= _LARGEST_INTEGER:  # type: ignore[operator]
        raise _Refused(f"seq: {value!r:.40} is no whole number from 0 on; taken as if it were not there")
    return int(value)  # type: ignore[call-overload, no-any-return]


def _boot(value: object) -> str:
    if type(value) is str:
        text = value
    else:
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    if not 1 <= len(text) <= _BOOT_LENGTH or not text.isprintable():
        rule = f"expected a number or a text of 1 to {_BOOT_LENGTH} characters"
        raise _Refused(f"boot: {rule}; taken as if it were not there")
    return text


# The other topics


def _metric(message: Message, device: str, metric: str) -> Decoded:
    try:
        value = _number(_json(message.payload))
    except _Refused as refused:
        return Decoded(message, rejected=1, problems=(_printable(f"{metric}: {refused}"),))
    return Decoded(message, (Sample(device, ((metric, value),), None, 0, None, None),))


def _status(message: Message, device: str) -> Status:
    text = _text(message.payload).strip()
    if text not in ("online", "offline"):
        raise _Refused(f"status: {text[:40]!r}; expected online or offline")
    return Status(device, text == "online")


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
        raise _Refused(f"about: {error}") from None
    if len(payload.actuators) > _ABOUT_ENTRIES or len(payload.units) > _ABOUT_ENTRIES:
        raise _Refused(f"about: at most {_ABOUT_ENTRIES} actuators and {_ABOUT_ENTRIES} units are taken")
    for name, text, longest in (("model", payload.model, 128), ("firmware", payload.firmware, 128)):
        if text is not None and (len(text) > longest or not text.isprintable()):
            raise _Refused(f"about: {name}: expected at most {longest} printable characters")
    for metric, unit in payload.units.items():
        try:
            _metric_name(metric)
        except _Refused as refused:
            raise _Refused(f"about: units: {refused}") from None
        _unit(unit)
    return About(
        device, payload.model, payload.firmware, tuple(_actuator(item) for item in payload.actuators), payload.units
    )


def _actuator(item: str | _ActuatorPayload) -> ActuatorAbout:
    payload = _ActuatorPayload(item) if isinstance(item, str) else item
    if payload.name == "resend":
        raise _Refused("about: actuators: none may be called 'resend'")
    if payload.unit is not None:
        _unit(payload.unit)
    name = topics.checked_name("actuator", payload.name)
    return ActuatorAbout(name, payload.min, payload.max, payload.step, payload.unit)


def _unit(unit: str) -> None:
    if len(unit) > 32 or not unit.isprintable():
        raise _Refused("about: a unit has at most 32 printable characters")


def _state(message: Message, device: str, actuator: str) -> ActuatorState:
    text = _text(message.payload).strip()
    if not text.startswith(("{", '"')):
        return ActuatorState(device, actuator, _state_value(text), None)
    document = _json(message.payload)
    if isinstance(document, str):
        return ActuatorState(device, actuator, _state_value(document), None)
    if not isinstance(document, dict):
        raise _Refused(f"state: {_kind(document)}; expected ON, OFF, a number or an object with a state")
    command = document.get("id")
    if command is not None and not (isinstance(command, str) and 1 <= len(command) <= 36 and command.isprintable()):
        raise _Refused("state: id: expected a text of at most 36 characters")
    return ActuatorState(device, actuator, _state_value(document.get("state")), command)


def _state_value(value: object) -> str:
    """ON, OFF or a finite number, as text."""
    if isinstance(value, str) and value.upper() in ("ON", "OFF"):
        return value.upper()
    try:
        number = float(value) if isinstance(value, str) else _number(value)
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise _Refused(f"state: {value!r:.40}; expected ON, OFF or a number")
    return repr(number + 0.0).removesuffix(".0")  # as short as it can be and exact


# JSON


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise _Refused(f"the message is not UTF-8 (byte {error.start})") from None


def _json(payload: bytes) -> Any:
    """The document. What msgspec refuses is tried with the standard library, which takes NaN, Infinity and 1e400, so
    that one such value costs itself and not its neighbours.
    """
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        text = _text(payload)
    if not text.strip():
        raise _Refused("the message is empty")
    try:
        return json.loads(text)
    except RecursionError:
        raise _Refused("the message is nested too deep") from None
    except ValueError as error:
        raise _Refused(f"the message is not JSON: {error!s:.200}") from None


def _printable(text: str) -> str:
    """The text with what can't be shown, or stored as UTF-8, written as an escape."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _kind(value: object) -> str:
    match value:
        case str():
            return f"a text ({value[:40]!r})"
        case list():
            return "an array"
        case dict():
            return "an object"
        case None:
            return "null"
        case _:
            return f"{value!r:.40}"
