"""Messages as the tests of pure parts make them."""

from __future__ import annotations

import json
from typing import Any, Final

from ingest.dialects import native
from ingest.dialects.decoded import Decoded
from ingest.message import Message

NOW: Final = 1_764_000_000_000
LIMIT: Final = 1_000_000


def message(topic: str, payload: Any, **fields: Any) -> Message:
    """A message received at NOW; a payload that is neither bytes nor text is written as JSON."""
    if isinstance(payload, str):
        payload = payload.encode()
    if not isinstance(payload, bytes):
        payload = json.dumps(payload).encode()
    return Message(topic, payload, **{"size": len(payload), "received_at": NOW} | fields)


def decode(topic: str, payload: Any, root: str = "iot", **fields: Any) -> Decoded:
    """What the native dialect makes of it."""
    decoded = native.decode(message(topic, payload, **fields), root, LIMIT)
    assert decoded is not None
    return decoded


def telemetry(payload: Any, **fields: Any) -> Decoded:
    """The same for telemetry of the device `kitchen`."""
    return decode("iot/kitchen/telemetry", payload, **fields)
