"""Temperature and humidity of made-up places: daily curves, weather, small swings, a sensor's noise. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# DHT22: what the sensor can report, its resolution, and the noise of one reading.
TEMPERATURE_RANGE = (-40.0, 80.0)
HUMIDITY_RANGE = (0.0, 100.0)
TEMPERATURE_NOISE_C = 0.06
HUMIDITY_NOISE_PERCENT = 0.2


@dataclass(frozen=True, slots=True)
class Place:
    """The climate of one place. Temperatures in degrees Celsius, humidity in percent, times in UTC."""

    name: str
    mean_c: float
    daily_swing_c: float  # half the distance between the day's warmest and coldest
    warmest_hour: float
    weather_swing_c: float  # drift over days
    minutes_swing_c: float  # a heater, a door, a cloud
    humidity_percent: float  # at the mean temperature
    humidity_per_c: float  # lost with each degree above the mean
    phase: float  # radians; lets two places like each other differ


@dataclass(frozen=True, slots=True)
class Reading:
    """What a DHT22 reports: degrees Celsius and percent, both to one decimal."""

    temperature: float
    humidity: float


NAMED_PLACES = (
    Place("greenhouse", 24.0, 5.5, 14.0, 2.0, 0.5, 68.0, 2.4, 0.3),
    Place("cold-store", 4.0, 0.4, 15.0, 0.2, 0.8, 82.0, 3.0, 2.1),
    Place("workshop", 19.5, 2.5, 16.0, 1.5, 0.3, 47.0, 1.6, 4.4),
)


def places(count: int, random: Random) -> tuple[Place, ...]:
    """`count` places: the named ones first, then `device-004` and so on with climates drawn from `random`."""
    drawn = (_drawn_place(f"device-{number:03d}", random) for number in range(len(NAMED_PLACES) + 1, count + 1))
    return NAMED_PLACES[:count] + tuple(drawn)


def _drawn_place(name: str, random: Random) -> Place:
    return Place(
        name=name,
        mean_c=random.uniform(12.0, 26.0),
        daily_swing_c=random.uniform(0.5, 5.0),
        warmest_hour=random.uniform(13.0, 17.0),
        weather_swing_c=random.uniform(0.3, 2.5),
        minutes_swing_c=random.uniform(0.1, 0.7),
        humidity_percent=random.uniform(35.0, 70.0),
        humidity_per_c=random.uniform(1.2, 2.8),
        phase=random.uniform(0.0, math.tau),
    )


def temperature_at(place: Place, ts_ms: int) -> float:
    """The true temperature in degrees Celsius at a UTC time in ms."""
    hour = ts_ms % DAY_MS / HOUR_MS
    day = math.cos(math.tau * (hour - place.warmest_hour) / 24)
    weather = 0.6 * _wave(ts_ms, 3.3 * DAY_MS, place.phase) + 0.4 * _wave(ts_ms, 8.7 * DAY_MS, 2 * place.phase)
    minutes = 0.6 * _wave(ts_ms, 7 * MINUTE_MS, place.phase) + 0.4 * _wave(ts_ms, 23 * MINUTE_MS, 3 * place.phase)
    return place.mean_c + place.daily_swing_c * day + place.weather_swing_c * weather + place.minutes_swing_c * minutes


def humidity_at(place: Place, ts_ms: int) -> float:
    """The true relative humidity in percent at a UTC time in ms: falls when it gets warmer, drifts by itself."""
    warmer_c = temperature_at(place, ts_ms) - place.mean_c
    drift = 3.0 * _wave(ts_ms, 1.9 * DAY_MS, place.phase + 1.0)
    return _within(HUMIDITY_RANGE, place.humidity_percent - place.humidity_per_c * warmer_c + drift)


def reading_at(place: Place, ts_ms: int, random: Random) -> Reading:
    """What the sensor makes of a UTC time in ms: the truth with noise from `random`, to 0.1."""
    temperature = temperature_at(place, ts_ms) + random.gauss(0.0, TEMPERATURE_NOISE_C)
    humidity = humidity_at(place, ts_ms) + random.gauss(0.0, HUMIDITY_NOISE_PERCENT)
    return Reading(
        temperature=round(_within(TEMPERATURE_RANGE, temperature), 1),
        humidity=round(_within(HUMIDITY_RANGE, humidity), 1),
    )


def _wave(ts_ms: int, period_ms: float, phase: float) -> float:
    return math.sin(math.tau * (ts_ms % period_ms) / period_ms + phase)


def _within(limits: tuple[float, float], value: float) -> float:
    return min(max(value, limits[0]), limits[1])
