# ruff: noqa: S311  # noise on a temperature is no secret
from __future__ import annotations

from random import Random

import pytest

from firmware.link import BrokerAddress, Patience


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://127.0.0.1", BrokerAddress("127.0.0.1")),
        ("mqtt://broker.local:1884/", BrokerAddress("broker.local", 1884)),
        ("mqtt://me:p%40ss@host:1", BrokerAddress("host", 1, "me", "p@ss")),
        ("mqtt://[::1]:1885", BrokerAddress("::1", 1885)),
    ],
)
def test_broker_addresses(url: str, address: BrokerAddress) -> None:
    assert BrokerAddress.parse(url) == address


@pytest.mark.parametrize(
    "url", ["", "host:1883", "http://host", "mqtt://", "mqtt://me:secret@host:x", "mqtt://me:secret@host/topic"]
)
def test_what_is_no_broker_address_is_said_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="broker address") as caught:
        BrokerAddress.parse(url)
    assert "secret" not in str(caught.value)


def test_a_password_never_shows() -> None:
    address = BrokerAddress.parse("mqtt://me:secret@host")
    assert "secret" not in f"{address} {address!r}"


def test_pauses_grow_to_a_bound_and_differ() -> None:
    patience, random = Patience(first_s=0.2, longest_s=5.0), Random(1)
    pauses = [patience.pause_s(attempt, random) for attempt in (0, 1, 2, 10, 10_000)]
    bounds = [0.2, 0.4, 0.8, 5.0, 5.0]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    assert patience.pause_s(10, random) != patience.pause_s(10, random)
