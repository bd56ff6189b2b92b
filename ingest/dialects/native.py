"""The native dialect: JSON telemetry and bare numbers here, and the way to reports. CONTRACT, "MQTT: native topics"."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

from db.readings import Sample
from db.resends import Gone
from ingest.dialects import topics
from ingest.dialects.decoded import Decoded
from ingest.dialects.native_reports import to_report
from ingest.dialects.payload import Refused, checked_metric, kind_of, printable, to_document, to_number
from ingest.message import Message

T = TypeVar("T")

_RESERVED: Final = frozenset({"ts", "age", "seq", "boot", "gone"})
#: Below this a `ts` is in seconds: as ms it would lie before March 1973, as seconds after the year 5000.
_SECONDS_BELOW: Final = 100_000_000_000
_FUTURE_MS: Final = 86_400_000
_LARGEST_INTEGER: Final = 2**63 - 1
_LARGEST_FLOAT: Final = sys.float_info.max
#: Sets of keys that were found right, each of a few keys at most, so that all of them together stay small.
_SHAPES_REMEMBERED: Final = 4_096
_PLAIN_KEYS: Final = 16
_BOOT_LENGTH: Final = 64
_DEEPEST: Final = 32
_PROBLEMS_SHOWN: Final = 20


def decode(message: Message, root: str, largest_payload: int) -> Decoded | None:
    """Records of a message under `root`; None for what is passed over: our own `…/set`.

    Never raises for anything a device can send: what can't be understood comes back in `problems`.
    """
    try:
        topic = topics.parse(message.topic, root)
        if topic.kind == "set":
            return None
        if message.size > largest_payload:
            raise Refused(f"the message has {message.size} bytes; allowed are {largest_payload} (MAX_MESSAGE_BYTES)")
        if message.size > len(message.payload):
            raise Refused(f"its MQTT properties are too large to hold beside its {message.size} bytes")
        if topic.kind == "telemetry":
            return _telemetry(message, topic.device)
        if topic.kind == "metric":
            return _metric(message, topic.device, topic.name)
        return Decoded(message, report=to_report(message, topic))
    except (topics.UnknownTopic, Refused) as error:
        return Decoded(message, problems=(printable(str(error)),))


@dataclass(slots=True)
class _Findings:
    """What was wrong with a message so far, and how many readings that cost."""

    problems: list[str]
    rejected: int = 0

    def reject(self, problem: str, readings: int = 1) -> None:
        self.rejected += readings
        self.note(problem)

    def note(self, problem: str) -> None:
        said = printable(problem)
        if len(self.problems) < _PROBLEMS_SHOWN and said not in self.problems:
            self.problems.append(said)


def _telemetry(message: Message, device: str) -> Decoded:
    document = to_document(message.payload)
    findings = _Findings([])
    if type(document) is dict:
        plain = _plain_sample(document, device, message.received_at)
        if plain is not None:
            return Decoded(message, (plain,))
    items = document if isinstance(document, list) else [document]
    samples: list[Sample] = []
    gone: list[Gone] = []
    for index, item in enumerate(items):
        where = f"[{index}]." if isinstance(document, list) else ""
        if not isinstance(item, dict):
            what = f"[{index}]" if isinstance(document, list) else "the message"
            findings.note(f'{what} is {kind_of(item)}; expected an object such as {{"temperature": 21.5}}')
            continue
        sample = _sample(item, device, message.received_at, where, findings)
        if sample is not None:
            samples.append(sample)
        if "gone" in item:
            gone += _gone(item, sample, device, where, findings)
    if not gone and not any(sample.values for sample in samples) and not findings.problems:
        findings.note("the message holds no reading")
    if len(gone) > 1:
        findings.note("gone: it is there more than once, and the first counts; send each in a message of its own")
    return Decoded(message, tuple(samples), gone[0] if gone else None, findings.rejected, tuple(findings.problems))


def _sample(item: dict[str, Any], device: str, received_at: int, where: str, findings: _Findings) -> Sample | None:
    values = tuple(_values(item, where, findings))
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
    except Refused as refused:
        findings.reject(f"{where}{refused}", len(values))
        values, ts, age = (), None, 0
    # A sample without values still says that its sequence number arrived.
    return Sample(device, values, ts, age, seq, boot) if values or seq is not None else None


def _gone(item: dict[str, Any], sample: Sample | None, device: str, where: str, findings: _Findings) -> Iterator[Gone]:
    """What a device answers that holds no longer what it is asked for."""
    if sample is not None and sample.values:
        findings.note(f"{where}gone: this answers a resend, and stands in an object without readings")
        return
    try:
        yield _gone_numbers(item, device)
    except Refused as refused:
        findings.note(f"{where}{refused}")


def _gone_numbers(item: dict[str, Any], device: str) -> Gone:
    if item.get("boot") is None:
        raise Refused("boot: it is not there; numbers under gone are those of a start of the device, which it names")
    bounds = item["gone"]
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise Refused(f"gone: {kind_of(bounds)}; expected the first and the last number, as in [120, 140]")
    first, last = bounds
    if type(first) is not int or type(last) is not int or not 0 <= first <= last <= _LARGEST_INTEGER:
        raise Refused(f"gone: {bounds!r:.60}; expected two whole numbers from 0 on, the first not above the last")
    return Gone(device, _boot(item["boot"]), first, last)


def _optional(parse: Callable[[object], T], value: object, where: str, findings: _Findings) -> T | None:
    """The parsed value; None where it is wrong, which costs no reading."""
    try:
        return parse(value)
    except Refused as refused:
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
    except Refused:
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

    Raises Refused if one is no right name: that is not remembered, however long the name.
    """
    return () if "gone" in keys else tuple([checked_metric(key) for key in keys if key not in _RESERVED])


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
            yield checked_metric(name), to_number(value)
        except Refused as refused:
            shown = name if len(name) <= 80 else f"{name[:80]}…"
            findings.reject(f"{where}{shown}: {refused}")


def _ts(value: object, received_at: int) -> int:
    """UTC ms from a `ts` in ms or in seconds, fractions rounded to ms."""
    number = _plain_number("ts", value)
    ts = round(number * 1000 if number < _SECONDS_BELOW else number)
    if ts > received_at + _FUTURE_MS:
        raise Refused(f"ts: {value} is more than 24 h in the future")
    return ts


def _age(value: object, received_at: int) -> int:
    age = round(_plain_number("age", value))
    if age > received_at:
        raise Refused(f"age: {value!s:.40} ms ago was before 1970")
    return age


def _plain_number(name: str, value: object) -> float:
    if type(value) is not int and type(value) is not float:  # a boolean is no number here
        raise Refused(f"{name}: {kind_of(value)}; expected a number of milliseconds")
    if not 0 <= value <= _LARGEST_INTEGER:  # false for NaN as well
        raise Refused(f"{name}: {value!s:.40} is out of range; expected milliseconds from 0 on")
    return value


def _seq(value: object) -> int:
    if type(value) is int and 0 <= value <= _LARGEST_INTEGER:
        return value
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not 0 <= value <= _LARGEST_INTEGER:  # type: ignore[operator]
        raise Refused(f"seq: {value!r:.40} is no whole number from 0 on; taken as if it were not there")
    return int(value)  # type: ignore[call-overload, no-any-return]


def _boot(value: object) -> str:
    if type(value) is str:
        text = value
    else:
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    if not 1 <= len(text) <= _BOOT_LENGTH or not text.isprintable():
        rule = f"expected a number or a text of 1 to {_BOOT_LENGTH} characters"
        raise Refused(f"boot: {rule}; taken as if it were not there")
    return text


def _metric(message: Message, device: str, metric: str) -> Decoded:
    try:
        value = to_number(to_document(message.payload))
    except Refused as refused:
        return Decoded(message, rejected=1, problems=(printable(f"{metric}: {refused}"),))
    return Decoded(message, (Sample(device, ((metric, value),), None, 0, None, None),))
