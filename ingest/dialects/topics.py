"""The native topics: where the device, the metric and the actuator stand in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_RULE: Final = "letters, digits, '.', '_' and '-', the first a letter or digit, at most 64"

#: What a site's bridge says of itself, below the site.
_BRIDGE: Final = ("bridge", "state")
#: What stands where an actuator would, and is none.
_RESEND: Final = "resend"

Kind = Literal["telemetry", "status", "about", "metric", "state", "set", "bridge"]


class UnknownTopic(ValueError):
    """The topic is none of ours. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A native topic. `name` is the metric or actuator, empty where there is none.

    Of a bridge `device` is empty, and `name` the site.
    """

    kind: Kind
    device: str
    name: str = ""


#: A device sends to the same few topics again and again: those that were found right are remembered.
@lru_cache(65_536)
def parse(topic: str, root: str) -> Topic:
    """Take a topic under `root` apart.

    With a root of `+/iot` the first level is the site, and the device is then `site1/kitchen`. Beside the root the site
    has `site1/bridge/state` then.

    Raises:
        UnknownTopic: If it is none of the native topics, or a name breaks the pattern.
    """
    levels = topic.split("/")
    roots = root.split("/")
    if roots[0] == "+" and tuple(levels[1:]) == _BRIDGE:
        return Topic("bridge", "", checked_name("site", levels[0]))
    if len(levels) < len(roots) or any(r not in ("+", level) for r, level in zip(roots, levels, strict=False)):
        raise UnknownTopic(f"the topic is not under {root}")
    rest = levels[len(roots) :]
    if len(rest) not in (2, 3):
        raise UnknownTopic(f"unknown topic: expected {root}/<device>/<metric> or {root}/<device>/<actuator>/state")
    device = checked_name("device", rest[0])
    if roots[0] == "+":
        device = f"{checked_name('site', levels[0])}/{device}"
    if len(rest) == 2:
        return _two_levels(device, rest[1])
    return _three_levels(device, rest[1], rest[2])


def telemetry(device: str, root: str) -> str:
    """The topic on which a device reports, the same that `parse` takes apart.

    Raises:
        UnknownTopic: If that is no name of a device under `root`.
    """
    return f"{_of_device(device, root)}/telemetry"


def state(device: str, actuator: str, root: str) -> str:
    """The topic on which a device reports what an actuator does. Raises UnknownTopic as `telemetry` does."""
    return f"{_of_device(device, root)}/{checked_actuator(actuator)}/state"


def order(device: str, actuator: str, root: str) -> str:
    """The topic on which a device is told what an actuator is to do. Raises UnknownTopic as `telemetry` does."""
    return f"{_of_device(device, root)}/{checked_actuator(actuator)}/set"


def resend(device: str, root: str) -> str:
    """The topic on which a device is asked to send again. Raises UnknownTopic as `telemetry` does."""
    return f"{_of_device(device, root)}/{_RESEND}/set"


def _of_device(device: str, root: str) -> str:
    levels, name = root.split("/"), device
    if levels[0] == "+":
        site, slash, name = device.partition("/")
        levels[0] = checked_name("site", site)
        if not slash:
            raise UnknownTopic(f"device name {device[:80]!r}: expected a site before it, such as site1/kitchen")
    return "/".join([*levels, checked_name("device", name)])


def filters(root: str) -> tuple[str, ...]:
    """What to subscribe to for everything."""
    return f"{root}/#", *_bridge_filters(root)


def report_filters(root: str) -> tuple[str, ...]:
    """What to subscribe to for all status, about and state under `root`, and bridges, and nothing else."""
    return f"{root}/+/status", f"{root}/+/about", f"{root}/+/+/state", *_bridge_filters(root)


def _bridge_filters(root: str) -> tuple[str, ...]:
    return ("/".join(("+", *_BRIDGE)),) if root.split("/", maxsplit=1)[0] == "+" else ()


def is_report(topic: str, root: str) -> bool:
    """Whether one of `report_filters` matches a topic under `root`. Quick: the telemetry of all devices is asked."""
    if not topic.endswith(("/status", "/about", "/state")):
        return False
    levels_below = topic.count("/") - root.count("/")
    return levels_below == (3 if topic.endswith("/state") else 2)


def checked_actuator(name: str) -> str:
    """The name, if it is one for an actuator. Raises UnknownTopic."""
    if name == _RESEND:
        raise UnknownTopic("no actuator may be called 'resend'")
    return checked_name("actuator", name)


def checked_name(what: str, name: str) -> str:
    """The name, if it keeps to the pattern. Raises UnknownTopic with what it is the name of."""
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        raise UnknownTopic(f"{what} name {shown!r}: allowed are {_RULE}")
    return name


def _two_levels(device: str, last: str) -> Topic:
    match last:
        case "telemetry" | "status" | "about":
            return Topic(last, device)
        case _:
            return Topic("metric", device, checked_name("metric", last))


def _three_levels(device: str, name: str, last: str) -> Topic:
    if last == "set":
        return Topic("set", device, name)
    if last != "state":
        raise UnknownTopic(f"unknown topic: the last level is {last[:80]!r}, expected 'state'")
    return Topic("state", device, checked_actuator(name))
