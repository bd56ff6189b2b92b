"""The doctor at a bridge between two brokers of ours, through TLS, as a site and a cloud have them."""

from __future__ import annotations

from pathlib import Path

from broker import bridges
from broker.connection import Endpoint
from broker.creation import passwords
from broker.doctor.bridge_checks import check_bridge
from broker.doctor_commands import bridge_ends
from tests.parts.eventually import eventually
from tests.parts.production_broker import ProductionBroker


def test_a_probe_goes_up_and_down_and_its_way_being_cut_is_noticed(part_directory: Path) -> None:
    (part_directory / "cloud").mkdir()
    (part_directory / "site").mkdir()
    cloud = ProductionBroker(part_directory / "cloud", "--root", "+/iot")
    site = ProductionBroker(part_directory / "site")
    password = part_directory / "password"
    password.write_text(cloud.add("site1", "--site")["password"])
    to = ("--to", "127.0.0.1", "--port", str(cloud.tls_port), "--ca", str(cloud.ca))
    login = ("--site", "site1", "--user", "site1", "--password-file", str(password))
    with cloud:
        assert site.command("bridge", "add", "cloud", *to, *login).status == 0
        with site:
            eventually(lambda: "connected from" in _of("site1", cloud))
            answer = site.command("doctor", "--seconds", "0.1", "--json")
            found = [one for one in answer.document if one["check"] == "bridge cloud"]
            assert [one["severity"] for one in found] == ["fine", "unknown"], found
            assert "came down once" in found[0]["what"]
            assert "could not be compared" in found[1]["what"]
            cloud.process.stop()
            bridge = bridges.find(site.directory, "cloud")
            assert bridge is not None
            near = Endpoint("127.0.0.1", site.port, "smart-monitor", passwords(site.directory)[0])
            gone = check_bridge(bridge_ends(site.directory, bridge, near), patience_s=0.5)
            assert [one.severity for one in gone] == ["problem", "problem"]
            assert "did not come back" in gone[0].what
            assert "can't be entered" in gone[1].what


def _of(name: str, broker: ProductionBroker) -> str:
    lines = broker.process.log.read_text().splitlines()
    return "\n".join(line for line in lines if f" as {name} " in line)
