from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.embedded import EmbeddedBroker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One embedded broker for a module's tests, on free ports; topics and client ids are each test's own."""
    broker = EmbeddedBroker.start(tmp_path_factory.mktemp("broker"), port=0)
    yield broker
    broker.stop()
