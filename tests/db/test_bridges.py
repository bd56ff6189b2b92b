from __future__ import annotations

from db import bridges
from db.bridges import Bridge, BridgeReport
from db.engine import Engine, reading, writing
from tests.db.conftest import NOW


def test_a_bridge_has_been_so_since_it_changed(engine: Engine) -> None:
    told = [("a", True, 0), ("b", False, 1), ("a", True, 2), ("b", True, 3), ("b", True, 4), ("A", False, 5)]
    for site, up, after in told:
        with writing(engine) as connection:
            bridges.store(connection, BridgeReport(site, up), NOW + after)
    with reading(engine) as connection:
        assert bridges.every(connection) == {
            "a": Bridge("a", up=True, since=NOW),
            "b": Bridge("b", up=True, since=NOW + 3),
            "A": Bridge("A", up=False, since=NOW + 5),
        }
