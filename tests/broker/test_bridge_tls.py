"""Both ways of TLS carry a bridge: stunnel's, and Mosquitto's own as it is told to a version that is safe with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.bridges import SAFE_TLS
from broker.mosquitto import Version
from tests.chaos.bridge_stage import SITE, SMALL_BRIDGE, CloudBroker, bridge_to
from tests.parts.bridge_tls import SigningAuthority
from tests.parts.bridged import BridgedSite, Hearer
from tests.parts.eventually import eventually


@pytest.mark.parametrize("release", [(2, 0, 11), SAFE_TLS], ids=["stunnel", "own"])
def test_what_goes_up_and_comes_down(part_directory: Path, release: Version) -> None:
    authority = SigningAuthority(part_directory / "ca")
    certificate, key = authority.issue(SITE)
    site = BridgedSite(part_directory / "site", release=release)
    with CloudBroker(part_directory / "cloud", authority) as cloud:
        site.add(bridge_to(cloud.tls_port, SMALL_BRIDGE), ca=authority.ca, certificate=certificate, key=key)
        with site, Hearer(cloud.broker.port, "#") as above, Hearer(site.port, "#") as below:
            eventually(site.is_bridged, what="a bridge")
            site.broker.publish("iot/kitchen/telemetry", "1")
            site.broker.publish("iot/kitchen/led/state", "ON", retain=True)
            site.broker.publish("iot/kitchen/led/set", "of the site")
            site.broker.publish("elsewhere/kitchen/led", "not the bridge's")
            cloud.broker.publish("site1/iot/kitchen/led/set", "OFF")
            cloud.broker.publish("site1/iot/kitchen/telemetry", "from above")
            cloud.broker.publish("site2/iot/kitchen/led/set", "another site's")
            site.broker.publish("iot/kitchen/last", "1")
            cloud.broker.publish("site1/iot/kitchen/last/set", "1")
            eventually(
                lambda: above.payloads("site1/iot/kitchen/last") and below.payloads("iot/kitchen/last/set"),
                what="the last ones",
            )
    went_up = {topic for topic, _ in above.heard}
    assert above.payloads("site1/iot/kitchen/telemetry") in (["1", "from above"], ["from above", "1"])
    assert above.payloads("site1/iot/kitchen/led/state") == ["ON"]
    assert "site1/elsewhere/kitchen/led" not in went_up
    assert above.payloads("site1/iot/kitchen/led/set") == ["OFF"]
    assert sorted(below.payloads("iot/kitchen/led/set")) == ["OFF", "of the site"]
    assert below.payloads("iot/kitchen/telemetry") == ["1"]
