"""What a running broker shows to somebody who listens for some seconds: `$SYS`, its log, what devices send."""

from __future__ import annotations

import json
import math
import re
import secrets
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from broker.connection import Connection, Endpoint, Heard, NotIn
from broker.doctor.finding import Finding, fine
from broker.doctor.versions import Version, check_version

_VERSION: Final = re.compile(rb"(\d+)\.(\d+)\.(\d+)")
_TAKEN_OVER: Final = re.compile(r"Client (\S{1,200}) already connected, closing old connection")
#: Times a client id must change hands while we listen. Once is a device that came back before its old connection ended.
_AGAIN: Final = 2
_CLOCK_MS: Final = 60_000
#: Below that a `ts` is in seconds, as the server takes it.
_SECONDS_BELOW: Final = 100_000_000_000
_LOUD: Final = 20
#: A broker that is not frozen answers within milliseconds.
ANSWER_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Overheard:
    """What was heard. `retained_sys`: `$SYS` by topic. `offsets_ms`: by device, how far its clock is ahead of ours."""

    version: Version | None
    sys: dict[str, bytes]
    taken_over: dict[str, int]
    offsets_ms: dict[str, float]


def check_broker(endpoint: Endpoint, root: str, seconds: float, patience_s: float = ANSWER_S) -> tuple[Finding, ...]:
    """Look at the broker from outside: whether it answers, anonymous access, and what `seconds` of listening tell."""
    try:
        with Connection(endpoint, patience_s) as connection:
            answer = _answer(connection)
            connection.subscribe("$SYS/broker/#")
            connection.subscribe(f"{root}/+/telemetry")
            connection.wait(lambda: False, seconds)
            heard = overheard(connection.heard)
    except NotIn as error:
        why = "Devices and server can't exchange anything." if error.refused else "Nothing else can be looked at."
        return (Finding("answer", "problem", f"{error}.", why, "Does it run, and is the address right?"),)
    return (
        answer,
        check_anonymous(endpoint, patience_s),
        *check_version(heard.version),
        *_dropped(heard),
        _waiting(heard),
        *_clocks(heard),
        *_client_ids(heard, seconds),
    )


def _answer(connection: Connection) -> Finding:
    """Whether a message that is published here comes back here in time."""
    if not connection.subscribe("doctor/here/up/+"):
        return Finding("answer", "unknown", "This login may not publish a probe of its own.")
    topic = f"doctor/here/up/{secrets.token_hex(4)}"
    begun_s = time.monotonic()
    connection.publish(topic, b"")
    if not connection.wait(lambda: any(one.topic == topic for one in connection.heard)):
        return Finding(
            "answer",
            "problem",
            "The broker takes connections, and a message that is published does not come back.",
            "It is frozen or far behind; a bridge can do that to it.",
            "Restart it, and look at its bridges: python -m broker bridge list",
        )
    return fine("answer", f"The broker answers within {math.ceil((time.monotonic() - begun_s) * 1000):,} ms.")


def check_anonymous(endpoint: Endpoint, patience_s: float = ANSWER_S) -> Finding:
    """Whether somebody without a login is let in."""
    nobody = Endpoint(endpoint.host, endpoint.port, tls=endpoint.tls, ca_file=endpoint.ca_file)
    try:
        with Connection(nobody, patience_s) as connection:
            reads = connection.subscribe("#")
    except NotIn as error:
        if error.refused:
            return fine("anonymous", "Nobody comes in without a login.")
        return Finding("anonymous", "unknown", f"{error}.")
    seen = "and may read everything" if reads else "though it may not read everything"
    return Finding(
        "anonymous",
        "problem",
        f"{endpoint} lets everybody in without a login, {seen}.",
        "Whoever reaches the port can send readings and commands.",
        "Set allow_anonymous false and give logins: python -m broker init, python -m broker device add.",
    )


def overheard(heard: Sequence[Heard]) -> Overheard:
    """Sort out what was heard. Pure."""
    sys = {one.topic: one.payload for one in heard if one.topic.startswith("$SYS/") and "/log/" not in one.topic}
    taken: dict[str, int] = {}
    offsets: dict[str, list[float]] = {}
    for one in heard:
        if one.topic.startswith("$SYS/broker/log/"):
            for found in _TAKEN_OVER.finditer(one.payload.decode(errors="replace")):
                taken[found[1]] = taken.get(found[1], 0) + 1
        elif one.topic.endswith("/telemetry") and not one.retained:
            ts = _time_of(one.payload)
            if ts is not None:
                offsets.setdefault(one.topic.removesuffix("/telemetry"), []).append(ts - one.wall_ms)
    version = _VERSION.search(sys.get("$SYS/broker/version", b""))
    return Overheard(
        version=None if version is None else (int(version[1]), int(version[2]), int(version[3])),
        sys=sys,
        taken_over=taken,
        offsets_ms={device: statistics.median(found) for device, found in offsets.items()},
    )


def _time_of(payload: bytes) -> float | None:
    """The `ts` of a reading in UTC ms; of a backlog none, it is old by nature."""
    try:
        found = json.loads(payload)
    except ValueError:
        return None
    ts = found.get("ts") if isinstance(found, dict) else None
    if isinstance(ts, bool) or not isinstance(ts, int | float):
        return None
    return ts * 1000 if ts < _SECONDS_BELOW else ts


def _dropped(heard: Overheard) -> Iterator[Finding]:
    dropped = _number(heard, "$SYS/broker/publish/messages/dropped")
    if dropped:
        yield Finding(
            "dropped",
            "problem",
            f"The broker dropped {dropped:,} messages since its start.",
            "For some client the queue was full; if that was the server, readings are missing.",
            "Look at System, missing numbers; raise max_queued_bytes (python -m broker init --queue-mb).",
        )
    elif dropped == 0:
        yield fine("dropped", "The broker has dropped nothing since its start.")


def _waiting(heard: Overheard) -> Finding:
    waiting = _number(heard, "$SYS/broker/store/messages/count")
    if waiting is None:
        return Finding("backlog", "unknown", "The broker does not tell how much it holds.")
    return fine("backlog", f"The broker holds {waiting:,} messages: retained, under way, or for clients that are away.")


def _clocks(heard: Overheard) -> Iterator[Finding]:
    wrong = {device: offset for device, offset in heard.offsets_ms.items() if abs(offset) > _CLOCK_MS}
    if wrong:
        shown = ", ".join(
            f"{device} {abs(offset) / 1000:,.0f} s {'ahead' if offset > 0 else 'behind'}"
            for device, offset in sorted(wrong.items())[:_LOUD]
        )
        yield Finding(
            "clocks",
            "warning",
            f"Clocks of devices differ from this machine's: {shown}.",
            "Their readings are stored at the wrong time; more than a day ahead they are rejected.",
            "Give the device a time server, or have it send age instead of ts.",
        )
    elif heard.offsets_ms:
        yield fine("clocks", f"The clocks of {len(heard.offsets_ms)} devices agree with this machine's.")


def _client_ids(heard: Overheard, seconds: float) -> Iterator[Finding]:
    twice = sorted(client for client, times in heard.taken_over.items() if times >= _AGAIN)
    if twice:
        yield Finding(
            "client ids",
            "problem",
            f"Used by two at once: client id {', '.join(twice[:_LOUD])}.",
            "They throw each other out again and again, and messages between are late or lost.",
            "Give each its own client id (the server's is MQTT_CLIENT_ID).",
        )
    elif any(topic.startswith("$SYS/") for topic in heard.sys):
        yield fine("client ids", f"No client id changed hands twice within {seconds:g} s.")


def _number(heard: Overheard, topic: str) -> int | None:
    value = heard.sys.get(topic, b"")
    return int(value) if value.isdigit() else None
