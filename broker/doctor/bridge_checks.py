"""Whether a bridge passes messages, once each, and whether both ends hold the same retained values."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from broker.connection import Connection, Endpoint, Heard, NotIn
from broker.doctor.finding import Finding, fine

#: A link across the world and back takes less.
PATIENCE_S: Final = 10.0
#: A double comes right behind.
_SETTLE_S: Final = 0.5
_SLOW_S: Final = 5.0
_SHOWN: Final = 5
#: What devices retain, below the root.
_RETAINED: Final = ("+/status", "+/about", "+/+/state")


@dataclass(frozen=True, slots=True)
class BridgeEnds:
    """A bridge: its name, the site's name at the far end, the site's topic root, and a login at each end."""

    name: str
    site: str
    root: str
    near: Endpoint
    far: Endpoint


def check_bridge(ends: BridgeEnds, patience_s: float = PATIENCE_S) -> tuple[Finding, ...]:
    """Send a probe up and down the bridge, and compare what is retained at both ends."""
    try:
        with Connection(ends.near, patience_s) as near:
            probe = _probe(near, ends, patience_s)
            try:
                with Connection(ends.far, patience_s) as far:
                    return (probe, *_retained(near, far, ends, patience_s))
            except NotIn as error:
                return (probe, _not_compared(ends, error) if probe.severity == "fine" else _far(ends, error))
    except NotIn as error:
        return (Finding(_name(ends), "unknown", f"Bridge {ends.name}: {error}."),)


def _name(ends: BridgeEnds) -> str:
    return f"bridge {ends.name}"


def _not_compared(ends: BridgeEnds, error: NotIn) -> Finding:
    return Finding(
        _name(ends),
        "unknown",
        f"Bridge {ends.name}: retained values could not be compared: {error}.",
        "The far end may let this login in with the bridge's own client id alone.",
    )


def _far(ends: BridgeEnds, error: NotIn) -> Finding:
    return Finding(
        _name(ends),
        "problem",
        f"Bridge {ends.name}: from here its far end can't be entered: {error}.",
        "If the bridge can't either, everything waits here.",
        f"python -m broker bridge check {ends.name}",
    )


def _probe(near: Connection, ends: BridgeEnds, patience_s: float) -> Finding:
    """Up as `doctor/<bridge>/up/<token>`, and down again as `doctor/<bridge>/down/<token>`: what the bridge carries."""
    token = secrets.token_hex(6)
    up, down = f"doctor/{ends.name}/up/{token}", f"doctor/{ends.name}/down/{token}"
    if not near.subscribe(f"doctor/{ends.name}/down/+") or not near.subscribe(f"doctor/{ends.name}/up/+"):
        return Finding(_name(ends), "unknown", f"Bridge {ends.name}: this login may not send a probe.")
    begun_s = time.monotonic()
    if not near.publish(up, token.encode()):
        return Finding(
            _name(ends),
            "problem",
            f"Bridge {ends.name}: the broker here does not take a message within {patience_s:g} s.",
            "It is frozen; a bridge can do that to it.",
            "Restart it, then: python -m broker bridge check " + ends.name,
        )
    near.wait(lambda: any(one.topic == down for one in near.heard), patience_s)
    near.wait(lambda: False, _SETTLE_S)
    return judge(ends.name, near.heard, up, down, begun_s, patience_s)


def judge(name: str, heard: Sequence[Heard], up: str, down: str, begun_s: float, patience_s: float) -> Finding:
    """What the copies that came say of the bridge. Pure."""
    check = f"bridge {name}"
    back = [one for one in heard if one.topic == down]
    here = sum(one.topic == up for one in heard)
    if not back:
        return Finding(
            check,
            "problem",
            f"Bridge {name}: a probe did not come back within {patience_s:g} s.",
            "It is away, far behind, or its far end does not let it publish and read; messages wait here until then.",
            f"python -m broker bridge check {name}",
        )
    if len(back) > 1 or here > 1:
        kind = "came back twice" if len(back) > 1 else "was echoed"
        return Finding(
            check,
            "problem",
            f"Bridge {name}: a probe {kind}.",
            "Two bridges carry the same topics, or one carries them both ways: readings are doubled, commands loop.",
            "Keep one bridge for each far end (python -m broker bridge list), with lines for up and down apart.",
        )
    took_s = back[0].at_s - begun_s
    if took_s > _SLOW_S:
        return Finding(
            check,
            "warning",
            f"Bridge {name}: a probe took {took_s:.1f} s up and down.",
            "Messages wait for the link.",
            "If that stays: the link is too slow for what is sent.",
        )
    return fine(
        check, f"Bridge {name}: a probe went up and came down once, within {max(1, math.ceil(took_s * 1000)):,} ms."
    )


def _retained(near: Connection, far: Connection, ends: BridgeEnds, patience_s: float) -> Iterator[Finding]:
    for topic in _RETAINED:
        granted = near.subscribe(f"{ends.root}/{topic}"), far.subscribe(f"{ends.site}/{ends.root}/{topic}")
        if not all(granted):
            where = "here" if not granted[0] else "at the far end"
            yield Finding(
                _name(ends), "unknown", f"Bridge {ends.name}: this login may not read {topic} {where}, to compare it."
            )
            return
    for end in (near, far):  # retained values come at once
        end.wait(lambda: False, min(_SETTLE_S, patience_s))
    yield compare(ends, retained(near.heard, f"{ends.root}/"), retained(far.heard, f"{ends.site}/{ends.root}/"))


def retained(heard: Sequence[Heard], prefix: str) -> dict[str, bytes]:
    """The last value of each topic that was retained, by topic without the prefix. Pure."""
    before = {one.topic for one in heard if one.retained}
    return {
        one.topic.removeprefix(prefix): one.payload
        for one in heard
        if one.topic in before and one.topic.startswith(prefix)
    }


def compare(ends: BridgeEnds, here: dict[str, bytes], there: dict[str, bytes]) -> Finding:
    """Whether both ends retain the same. Pure."""
    differ = sorted(topic for topic in here.keys() | there.keys() if here.get(topic) != there.get(topic))
    if not differ:
        return fine(_name(ends), f"Bridge {ends.name}: {len(here):,} retained values are the same at both ends.")
    more = f" and {len(differ) - _SHOWN:,} more" if len(differ) > _SHOWN else ""
    return Finding(
        _name(ends),
        "warning",
        f"Bridge {ends.name}: retained values differ at both ends: {', '.join(differ[:_SHOWN])}{more}.",
        "The far end shows an old state, or a device that is gone here.",
        "They are sent again when the device reports; a topic that is gone for good: "
        f"mosquitto_pub -r -n -t {ends.site}/{ends.root}/... at the far end.",
    )
