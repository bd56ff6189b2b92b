"""What the count of readings does not show: commands and retained states over a cut, two sites, one client id twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.bridge_stage import SITE, BridgeStage, bridge_to
from tests.parts.bridged import BridgedSite, Hearer, published_by, retained
from tests.parts.eventually import eventually
from tests.parts.fleet import Fleet
from tests.parts.obeying import ObeyingDevice
from tests.parts.publisher import Publisher

_OTHER = "site2"


@dataclass(frozen=True, slots=True)
class Told:
    """Commands. `repeated`: delivered again, which a device knows by their ids. `echoed`: they came up themselves."""

    sent: int
    lost: int
    repeated: int
    answered: int
    echoed: int


def commands_over_a_cut(stage: BridgeStage, count: int) -> Told:
    """Half of them are sent while the link is cut."""
    wanted = [f"c{number}" for number in range(count)]
    with ObeyingDevice(stage.site.port, "iot", "kitchen") as device, Hearer(stage.cloud.broker.port, "#") as above:
        _command(stage, wanted[: count // 2])
        eventually(
            lambda: len(set(device.applied)) == count // 2, stage.scale.patience_s, what="commands before the cut"
        )
        tries = stage.wire.opened
        stage.wire.cut()
        _command(stage, wanted[count // 2 :])
        eventually(lambda: stage.wire.opened > tries, stage.scale.patience_s, what="a try in vain")
        stage.pause()
        stage.wire.mend()

        def answers() -> set[str]:
            return {json.loads(one)["id"] for one in above.payloads(f"{SITE}/iot/kitchen/led/state")}

        eventually(lambda: answers() == set(wanted), stage.scale.patience_s, what="an answer to each command")
        told = [one["id"] for one in device.told]
    echoed = sum(topic.endswith("/set") for topic in published_by(stage.cloud.broker, SITE))
    return Told(count, len(set(wanted) - set(told)), len(told) - len(set(told)), len(answers()), echoed)


def _command(stage: BridgeStage, ids: Sequence[str]) -> None:
    with Publisher(stage.cloud.broker.port) as server:
        server.publish((f"{SITE}/iot/kitchen/led/set", json.dumps({"id": one, "state": "ON"})) for one in ids)


def states_over_a_cut(stage: BridgeStage) -> tuple[dict[str, str], dict[str, str]]:
    """What the site and the cloud keep in the end, by the site's topics.

    During the cut the site changes one state and deletes another, and so does somebody in the cloud with two others.
    """
    topics = {name: f"iot/kitchen/{name}/state" for name in ("changed", "deleted", "changed-above", "deleted-above")}
    up = {name: f"{SITE}/{topic}" for name, topic in topics.items()}
    with Publisher(stage.site.port) as here, Publisher(stage.cloud.broker.port) as above:
        here.publish((topic, "first", True) for topic in topics.values())
        cloud = stage.cloud.broker.port
        eventually(lambda: len(retained(cloud, f"{SITE}/iot/#")) == 4, stage.scale.patience_s, what="four states above")
        tries = stage.wire.opened
        stage.wire.cut()
        here.publish([(topics["changed"], "second", True), (topics["deleted"], "", True)])
        above.publish([(up["changed-above"], "of the cloud", True), (up["deleted-above"], "", True)])
        eventually(lambda: stage.wire.opened > tries, stage.scale.patience_s, what="a try in vain")
        stage.pause()
        stage.wire.mend()
        with Hearer(cloud, f"{SITE}/iot/kitchen/mark") as hearer:
            here.publish([("iot/kitchen/mark", "1")])
            eventually(lambda: hearer.heard, stage.scale.patience_s, what="what was sent after the cut")
    kept_above = retained(cloud, f"{SITE}/iot/#").items()
    return retained(stage.site.port, "iot/#"), {
        topic.removeprefix(f"{SITE}/"): payload for topic, payload in kept_above
    }


@dataclass(frozen=True, slots=True)
class Crossed:
    """Of two sites: messages that a device knows to be acknowledged and the cloud lacks, by site; what went astray."""

    lost: dict[str, int]
    #: Topics that a site got and are another's.
    astray: tuple[str, ...]


def two_sites(stage: BridgeStage, count: int, *, same_client_id: bool = False) -> Crossed:
    """A second site comes, with its own client id or with the first one's; both publish and are commanded."""
    second = BridgedSite(stage.directory / _OTHER)
    certificate, key = stage.authority.issue(_OTHER)
    client_id = SITE if same_client_id else _OTHER
    bridge = bridge_to(stage.wire.port, stage.scale, site=_OTHER, client_id=client_id)
    second.add(bridge, ca=stage.authority.ca, certificate=certificate, key=key)
    sites = {SITE: stage.site, _OTHER: second}
    with second, Hearer(stage.cloud.broker.port, "+/iot/+/telemetry") as above:
        eventually(second.is_bridged, stage.scale.patience_s, what="a second bridge")
        fleets = {
            site: stage.parts.enter_context(Fleet(one.port, "iot", devices=2, seed=8)) for site, one in sites.items()
        }
        for _ in range(2):
            for fleet in fleets.values():
                fleet.publish(count // 4)
            stage.pause()
        with Publisher(stage.cloud.broker.port) as server:
            server.publish((f"{site}/iot/clock0/led/set", "ON") for site in sites)
        if same_client_id:
            # They throw each other out for as long as both are there: so each is waited for alone.
            second.stop()
            _all_above(stage, above, SITE, fleets[SITE])
            stage.site.stop()
            second.start()
        for site, fleet in fleets.items():
            if not (same_client_id and site == SITE):
                _all_above(stage, above, site, fleet)
        if not same_client_id:
            eventually(lambda: all("iot/clock0/led/set" in one.published_by("bridge-cloud") for one in sites.values()))
        lost = {site: _lacking(above, site, fleet) for site, fleet in fleets.items()}
    astray = [
        topic for one in sites.values() for topic in one.published_by("bridge-cloud") if not topic.startswith("iot/")
    ]
    return Crossed(lost, tuple(astray))


def _all_above(stage: BridgeStage, above: Hearer, site: str, fleet: Fleet) -> None:
    eventually(lambda: _lacking(above, site, fleet) == 0, stage.scale.patience_s, what=f"all of {site}")


def _lacking(above: Hearer, site: str, fleet: Fleet) -> int:
    """Acknowledged numbers that nobody above heard."""
    heard = set()
    for topic, payload in list(above.heard):
        if topic.startswith(f"{site}/"):
            document = json.loads(payload)
            items = document if isinstance(document, list) else [document]
            heard |= {(topic.split("/")[2], item["seq"]) for item in items}
    sent = {(fleet.sent[i].device, number) for i in fleet.acknowledged for number in fleet.sent[i].numbers}
    return len(sent - heard)
