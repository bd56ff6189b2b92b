"""A payload as text, as JSON, and the parts of it that several topics know: a metric's name, a number. What is none is
refused with a reason.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any, Final

import msgspec

#: Names of metrics that were found right are not checked anew with each message.
_NAMES_REMEMBERED: Final = 65_536
_METRIC_LENGTH: Final = 128


class Refused(ValueError):
    """A part of a message can't be understood. The text names the field."""


@lru_cache(_NAMES_REMEMBERED)
def checked_metric(name: str) -> str:
    """The name, if it is one for a metric. Raises Refused."""
    if not 1 <= len(name) <= _METRIC_LENGTH:
        raise Refused(f"a metric's name has 1 to {_METRIC_LENGTH} characters, this one {len(name)}")
    if not name.isprintable():
        raise Refused("a metric's name has printable characters only")
    return name


def to_number(value: object) -> float:
    """The value as float64, -0.0 as 0.0, booleans as 0 and 1. Raises Refused."""
    if not isinstance(value, int | float):
        raise Refused(f"{kind_of(value)}; expected a number")
    try:
        number = float(value) + 0.0
    except OverflowError:
        raise Refused("a number too large for a float64") from None
    if not math.isfinite(number):
        raise Refused(f"{number} is no finite number")
    return number


def to_text(payload: bytes) -> str:
    """The payload as UTF-8. Raises Refused."""
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"the message is not UTF-8 (byte {error.start})") from None


def to_document(payload: bytes) -> Any:
    """The document. What msgspec refuses is tried with the standard library, which takes NaN, Infinity and 1e400, so
    that one such value costs itself and not its neighbours.

    Raises:
        Refused: If neither can read it.
    """
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        text = to_text(payload)
    if not text.strip():
        raise Refused("the message is empty")
    try:
        return json.loads(text)
    except RecursionError:
        raise Refused("the message is nested too deep") from None
    except ValueError as error:
        raise Refused(f"the message is not JSON: {error!s:.200}") from None


def printable(text: str) -> str:
    """The text with what can't be shown, or stored as UTF-8, written as an escape."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def kind_of(value: object) -> str:
    """What a value of a document is, in words for who made the device."""
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
