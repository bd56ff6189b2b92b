"""A bridge to a broker that is no Mosquitto, over a cut."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from broker.bridge import Bridge, FarEnd
from broker.bridge_check import check
from broker.bridge_conf import Files
from tests.chaos.bridge_stage import SITE, BridgeScale
from tests.parts.bridged import BridgedSite, Hearer
from tests.parts.eventually import eventually
from tests.parts.far_ends import PASSWORD, USER
from tests.parts.publisher import Publisher
from tests.parts.wire import Wire


@dataclass(frozen=True, slots=True)
class Carried:
    """Messages and commands: sent, lost, and delivered again. What came back to the site that is no command."""

    sent: int
    lost: int
    repeated: int
    commands_lost: int
    echoed: int
    probe_came_back: bool
    state_below: str


def carried(port: int, kind: FarEnd, directory: Path, scale: BridgeScale, count: int) -> Carried:
    """Half of the messages and of the commands are sent while the link is cut."""
    site = BridgedSite(directory / "site")
    half = count // 2
    with Wire(port) as wire:
        bridge = Bridge(
            name="cloud",
            site=SITE,
            host="127.0.0.1",
            port=wire.port,
            client_id=SITE,
            tls=False,
            user=USER,
            password=PASSWORD,
            far_end=kind,
            pause_s=scale.pause_s,
            longest_pause_s=scale.longest_pause_s,
            keepalive_s=scale.keepalive_s,
        )
        site.add(bridge)
        assert all(one.ok for one in check(bridge, Files())), list(check(bridge, Files()))
        with (
            Hearer(port, f"{SITE}/#", login=(USER, PASSWORD)) as above,
            site,
            Hearer(site.port, "iot/+/+/set", "doctor/#") as below,
            Publisher(site.port) as device,
        ):
            eventually(lambda: "1" in above.payloads(f"{SITE}/bridge/state"), scale.patience_s, what="the bridge")
            device.publish(("iot/kitchen/telemetry", str(n)) for n in range(half))
            device.publish([("iot/kitchen/led/state", "ON", True), ("doctor/cloud/up/p1", "probe")])
            for n in range(half // 10):
                above.publish(f"{SITE}/iot/kitchen/led/set", str(n))
            telemetry = f"{SITE}/iot/kitchen/telemetry"
            eventually(lambda: len(set(above.payloads(telemetry))) == half, scale.patience_s, what="what came first")
            wire.cut()
            device.publish(("iot/kitchen/telemetry", str(n)) for n in range(half, count))
            for n in range(half // 10, count // 10):
                above.publish(f"{SITE}/iot/kitchen/led/set", str(n))
            wire.mend()
            wanted, orders = {str(n) for n in range(count)}, {str(n) for n in range(count // 10)}

            def whole() -> bool:
                return (
                    set(above.payloads(telemetry)) == wanted
                    and set(below.payloads("iot/kitchen/led/set")) == orders
                    and bool(below.payloads("doctor/cloud/down/p1"))
                )

            eventually(whole, scale.patience_s, what="all messages and commands")
            came = site.published_by("bridge-cloud")
            heard = above.payloads(telemetry)
            return Carried(
                sent=count,
                lost=len(wanted - set(heard)),
                repeated=len(heard) - len(set(heard)),
                commands_lost=len(orders - set(below.payloads("iot/kitchen/led/set"))),
                echoed=sum(not topic.endswith("/set") and not topic.startswith("doctor/") for topic in came),
                probe_came_back=bool(below.payloads("doctor/cloud/down/p1")),
                state_below=above.payloads(f"{SITE}/iot/kitchen/led/state")[-1],
            )
