"""What docs/bridge.md shows is what the code writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from broker import bridge_conf
from broker.bridge import Bridge
from tests.chaos.bridge_faults import BRIDGE_FAULTS

_PAGE: Final = Path("docs/bridge.md").read_text(encoding="utf-8")


def test_the_configuration_on_the_page_is_the_one_that_is_written() -> None:
    bridge = Bridge(
        "cloud", "site1", "mqtt.example.org", 8883, "site1", user="site1", password="\N{HORIZONTAL ELLIPSIS}"
    )
    assert f"```\n{bridge_conf.text(bridge, bridge_conf.Files(), 20_883)}```" in _PAGE


def test_the_table_has_every_fault() -> None:
    assert [fault.name for fault in BRIDGE_FAULTS if f"| {fault.name} | 1" not in _PAGE] == []
