# ruff: noqa: S311  # noise on a temperature is no secret
from __future__ import annotations

import re
from random import Random
from statistics import correlation, mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.climate import DAY_MS, HOUR_MS, NAMED_PLACES, Place, humidity_at, places, reading_at, temperature_at

NOON_MS = 1_764_028_800_000 - 1_764_028_800_000 % DAY_MS + 12 * HOUR_MS
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def test_the_first_devices_have_names_and_the_rest_have_numbers() -> None:
    names = [place.name for place in places(5, Random(1))]
    assert names == ["greenhouse", "cold-store", "workshop", "device-004", "device-005"]


def test_a_hundred_devices_have_a_hundred_names_that_fit_a_topic() -> None:
    names = {place.name for place in places(100, Random(1))}
    assert len(names) == 100
    assert all(DEVICE.fullmatch(name) for name in names)


def test_the_same_seed_gives_the_same_places() -> None:
    assert places(20, Random(7)) == places(20, Random(7))
    assert places(20, Random(7)) != places(20, Random(8))


@pytest.mark.parametrize("place", NAMED_PLACES, ids=lambda place: place.name)
def test_afternoons_are_warmer_than_nights(place: Place) -> None:
    days = [NOON_MS + day * DAY_MS for day in range(60)]
    warm = mean(temperature_at(place, day + round((place.warmest_hour - 12) * HOUR_MS)) for day in days)
    cold = mean(temperature_at(place, day + round(place.warmest_hour * HOUR_MS)) for day in days)
    assert warm - cold == pytest.approx(2 * place.daily_swing_c, abs=0.7)


@pytest.mark.parametrize("place", NAMED_PLACES, ids=lambda place: place.name)
def test_humidity_falls_when_it_gets_warmer(place: Place) -> None:
    times = range(NOON_MS, NOON_MS + DAY_MS, HOUR_MS // 4)
    temperatures = [temperature_at(place, ts) for ts in times]
    assert correlation(temperatures, [humidity_at(place, ts) for ts in times]) < -0.5


def test_a_new_user_sees_movement_within_a_minute() -> None:
    random = Random(3)
    seen = {reading_at(NAMED_PLACES[0], NOON_MS + second * 1000, random) for second in range(0, 60, 2)}
    assert len(seen) > 5


@given(st.integers(0, 4_102_444_800_000), st.integers(0, 99), st.integers())
def test_a_reading_is_one_a_dht22_can_make(ts_ms: int, number: int, seed: int) -> None:
    reading = reading_at(places(100, Random(1))[number], ts_ms, Random(seed))
    assert -40 <= reading.temperature <= 80
    assert 0 <= reading.humidity <= 100
    assert (round(reading.temperature, 1), round(reading.humidity, 1)) == (reading.temperature, reading.humidity)
