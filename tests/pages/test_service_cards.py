from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from ingest.health import Account, BrokerHealth, Counts, DatabaseHealth, Health, ProtocolVersion, Rates
from pages.parts.service_cards import figures, parts, rates_html
from tests.pages.cases import ms

NOW = ms("2026-11-23T13:10:00Z")
ZONE = ZoneInfo("Europe/Berlin")
BROKER = BrokerHealth("connected", NOW, "mqtt://broker:1883", window=2000, protocol="5")


def health(broker: BrokerHealth = BROKER, rates: Rates | None = None) -> Health:
    database = DatabaseHealth("connected", NOW, "sqlite:///monitor.db")
    return Health("thread", NOW, broker, database, Account(Counts(5, waiting=3)), rates or Rates())


def shown(found: Health) -> dict[str, str]:
    return {figure.label: figure.value for figure in figures(found)}


def test_what_is_not_known_is_a_dash() -> None:
    found = shown(health())
    unknown = ("from receipt to stored", "behind by", "waiting at the broker", "caught up in about")
    assert [found[label] for label in unknown] == ["\N{EN DASH}"] * 4
    assert found["in hand, not stored yet"] == "3"


@pytest.mark.parametrize(
    ("left_ms", "said"), [(0, "0 s"), (300, "1 s"), (9_500, "9 s"), (125_000, "2 min"), (None, "\N{EN DASH}")]
)
def test_how_far_behind_and_how_long_it_takes(left_ms: int | None, said: str) -> None:
    found = shown(health(replace(BROKER, backlog=12_400, catch_up_ms=left_ms), Rates(600, 1200, 2, 3_200)))
    assert (found["behind by"], found["waiting at the broker"]) == ("3 s", "12,400")
    assert found["caught up in about"] == said


def test_devices_clocks_are_named_on_hover() -> None:
    assert 'title="How old the freshest reading' in rates_html(health())
    assert "off by some" in rates_html(health())


@pytest.mark.parametrize(
    ("broker", "trouble"),
    [
        (BROKER, ()),
        (replace(BROKER, dropped=0, backlog=50_000), ()),
        (
            replace(BROKER, dropped=1_204),
            (
                "The broker dropped 1,204 messages since its start, because a client's queue was full: "
                "raise max_queued_messages.",
            ),
        ),
        (
            replace(BROKER, window=20),
            ("It hands over only 20 messages at a time: raise max_inflight_messages to 2000.",),
        ),
        (replace(BROKER, window=None, protocol="3.1.1"), ()),
    ],
)
def test_what_needs_a_person_at_the_broker(broker: BrokerHealth, trouble: tuple[str, ...]) -> None:
    assert parts(health(broker), NOW, ZONE)[0].trouble == trouble


@pytest.mark.parametrize(
    ("version", "protocol", "line"),
    [
        ("mosquitto version 2.0.11", "5", ["mosquitto version 2.0.11, MQTT 5"]),
        (None, "3.1.1", ["MQTT 3.1.1"]),
        (None, None, []),
    ],
)
def test_which_broker_and_which_mqtt(version: str | None, protocol: ProtocolVersion | None, line: list[str]) -> None:
    card = parts(health(replace(BROKER, version=version, protocol=protocol)), NOW, ZONE)[0]
    assert list(card.lines) == ["mqtt://broker:1883", *line]
