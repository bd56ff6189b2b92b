from __future__ import annotations

import pytest

from broker import access
from broker.access import NameRefused


def test_a_device_sends_its_own_and_reads_its_own_commands() -> None:
    allowed = access.of_device("kitchen")
    assert allowed.publish == ("iot/kitchen/+", "iot/kitchen/+/state")
    assert allowed.read == ("iot/kitchen/+/set",)
    assert allowed.role("kitchen") == "device kitchen"


def test_below_a_root_of_sites_a_device_is_named_with_its_site() -> None:
    assert access.of_device("site1/kitchen", "+/iot").publish == ("site1/iot/kitchen/+", "site1/iot/kitchen/+/state")
    with pytest.raises(NameRefused, match="<site>/<device>"):
        access.of_device("kitchen", "+/iot")


def test_a_site_sends_what_is_below_its_name_and_reads_commands_alone() -> None:
    allowed = access.of_site("site1")
    assert "site1/iot/+/+" in allowed.publish
    assert "site1/iot/+/+/set" not in allowed.publish
    assert allowed.read[0] == "site1/iot/+/+/set"


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a b", "$SYS", ".x", "a" * 65, "smart-monitor", "küche", "a\n"])
def test_a_name_that_would_mean_more_than_one_device_is_refused(name: str) -> None:
    with pytest.raises(NameRefused, match="device"):
        access.of_device(name)


def test_the_server_reads_all_below_its_root_and_sends_commands_alone() -> None:
    allowed = access.of_server()
    assert allowed.publish == ("iot/+/+/set", "doctor/+/up/+")
    assert "$share/+/iot/#" in allowed.read
    assert "+/bridge/state" in access.of_server("+/iot").read
