from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from api import history
from db.engine import create
from ingest.snapshot import AboutChange, ReadingChange, StatusChange
from ingest.vitals import now_ms
from tests.api.server import Place, fields

NOON = 1_764_000_000_000
ODD_NAMES = [
    "'",
    "' OR '1'='1",
    '"; DROP TABLE readings; --',
    "%",
    "_",
    "A",
    "a ",
    "\\",
    "../../etc/passwd",
    "\U0001f600",
    "=1+1",
    "a\0b",
    "x" * 5_000,
]


def reading(device: str, metric: str, ts: int, value: float) -> ReadingChange:
    return ReadingChange(device, metric, ts, value, ts + 7)


# The latest


def test_the_latest_of_one_device_and_of_all(here: Place, client: TestClient) -> None:
    here.change(
        reading("b", "temperature", NOON, 21.5),
        reading("b", "humidity", NOON + 5, 48.0),
        reading("a", "temperature", NOON, -3.25),
        reading("c", "pressure", NOON, 1013.0),
    )
    b = {"device": "b", "temperature": 21.5, "humidity": 48.0, "ts": NOON + 5, "received_at": NOON + 12}
    a = {"device": "a", "temperature": -3.25, "humidity": None, "ts": NOON, "received_at": NOON + 7}
    assert client.get("/api/dht22_db/?device=b").json() == b
    assert client.get("/api/dht22_db/").json() == [a, b]
    assert client.get("/api/dht22_db/?device=&unknown=1").json() == [a, b]


def test_the_latest_of_no_such_device_or_metric_is_404(here: Place, client: TestClient) -> None:
    here.change(reading("c", "pressure", NOON, 1013.0))
    assert client.get("/api/dht22_db/?device=z").status_code == 404
    answer = client.get("/api/dht22_db/?device=c")
    assert answer.status_code == 404
    assert "temperature or humidity" in answer.json()["detail"]


def test_the_latest_is_there_while_the_database_is_away(here: Place, client: TestClient) -> None:
    here.change(reading("a", "temperature", NOON, 1.0))
    here.runtime.engine = create("sqlite:////proc/nowhere.db")
    here.vitals.database_lost("gone")
    assert client.get("/api/dht22_db/?device=a").json()["temperature"] == 1.0


def test_before_the_database_was_ever_reached_nothing_is_said_to_be_missing(here: Place, client: TestClient) -> None:
    here.vitals.database_lost("connection refused")
    for path in ("/api/dht22_db/", "/api/dht22_db/?device=a", "/api/devices/", "/api/devices/a/"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "connection refused" in answer.json()["detail"]


# The last records


def test_the_last_records_come_newest_first_and_one_a_time(anywhere: Place, client: TestClient) -> None:
    anywhere.store("a", "temperature", [(NOON, 1.0), (NOON + 1, 2.0), (NOON + 2, 3.0)])
    anywhere.store("a", "humidity", [(NOON, 40.0), (NOON + 2, 42.0)])
    anywhere.store("b", "humidity", [(NOON + 1, 50.0)])
    anywhere.restore()
    found = client.get("/api/show_dht22_db/?device=a").json()
    assert found == [
        {"device": "a", "temperature": 3.0, "humidity": 42.0, "ts": NOON + 2},
        {"device": "a", "temperature": 2.0, "humidity": None, "ts": NOON + 1},
        {"device": "a", "temperature": 1.0, "humidity": 40.0, "ts": NOON},
    ]
    assert client.get("/api/show_dht22_db/?device=a&limit=2").json() == found[:2]
    assert len(client.get("/api/show_dht22_db/").json()) == 4
    assert client.get("/api/show_dht22_db/?device=z").status_code == 404


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many", "1.5", "9" * 30])
def test_a_limit_out_of_range_names_the_field(here: Place, client: TestClient, limit: str) -> None:  # noqa: ARG001
    answer = client.get(f"/api/show_dht22_db/?limit={limit}")
    assert answer.status_code == 422
    assert fields(answer.json()) == {"limit"}


# History


def test_one_series_is_an_object_exactly_as_promised(anywhere: Place, client: TestClient) -> None:
    anywhere.store("site1/kitchen", "temperature", [(NOON + n * 1_000, n / 10) for n in (0, 1, 2, 3, 9, 10)], "°C")
    answer = client.get(
        "/api/readings/",
        params={"device": "site1/kitchen", "metric": "temperature", "from": NOON + 1_000, "to": NOON + 10_000},
    )
    assert answer.json() == {
        "device": "site1/kitchen",
        "metric": "temperature",
        "unit": "°C",
        "resolution": "raw",
        "bucket_ms": None,
        "points": [
            {"ts": NOON + n * 1_000, "n": 1, "mean": n / 10, "min": n / 10, "max": n / 10} for n in (1, 2, 3, 9)
        ],
        "gaps": [{"from": NOON + 3_000, "to": NOON + 9_000}],
    }


def test_floats_arrive_exactly(anywhere: Place, client: TestClient) -> None:
    values = [0.1, 1 / 3, 1e-300, -1.7976931348623157e308, 5e-324, 123456789.123456789]
    anywhere.store("a", "x", [(NOON + n, value) for n, value in enumerate(values)])
    found = client.get(f"/api/readings/?device=a&metric=x&from={NOON}&to=now").json()
    assert [point["mean"] for point in found["points"]] == values


def test_the_last_hour_is_the_default(here: Place, client: TestClient) -> None:
    now = now_ms()
    here.store("a", "x", [(now - 2 * 3_600_000, 1.0), (now - 1_800_000, 2.0)])
    found = client.get("/api/readings/?device=a&metric=x").json()
    assert [point["mean"] for point in found["points"]] == [2.0]
    longer = client.get("/api/readings/?device=a&metric=x&from=-3h&to=-1h").json()
    assert [point["mean"] for point in longer["points"]] == [1.0]


def series_of(answer: object) -> list[tuple[str, str]]:
    assert isinstance(answer, list)
    return [(one["device"], one["metric"]) for one in answer]


def test_several_series_are_a_list_in_the_order_asked_for(here: Place, client: TestClient) -> None:
    for device in ("a", "b"):
        for metric in ("x", "y", "x,y"):
            here.store(device, metric, [(now_ms(), 1.0)])
    whole_a = [("a", "x"), ("a", "x,y"), ("a", "y")]
    assert series_of(client.get("/api/readings/?device=a").json()) == whole_a
    assert series_of(client.get("/api/readings/?device=a&metric=y&metric=x").json()) == [("a", "y"), ("a", "x")]
    assert series_of(client.get("/api/readings/?device=b,a&metric=x").json()) == [("b", "x"), ("a", "x")]
    assert series_of(client.get("/api/readings/?device=a&device=b&metric=y").json()) == [("a", "y"), ("b", "y")]
    assert client.get("/api/readings/?device=a&metric=x,y").json()["metric"] == "x,y"


def test_a_device_without_readings_is_an_empty_list(here: Place, client: TestClient) -> None:
    here.change(StatusChange("a", True, NOON))
    assert client.get("/api/readings/?device=a").json() == []


@pytest.mark.parametrize("query", ["device=z", "device=a,z", "device=a&metric=z", "device=a&metric=x&metric=z"])
def test_an_unknown_series_is_404(here: Place, client: TestClient, query: str) -> None:
    here.store("a", "x", [(NOON, 1.0)])
    answer = client.get(f"/api/readings/?{query}")
    assert answer.status_code == 404
    assert "'z'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=tomorrow", "to"),
        ("from=now&to=-1h", "from"),
        ("from=-999999999999d", "from"),
        ("tz=Mars", "tz"),
        ("resolution=minute", "resolution"),
        ("resolution=", "resolution"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(here: Place, client: TestClient, query: str, field: str) -> None:
    here.store("a", "x", [(NOON, 1.0)])
    answer = client.get(f"/api/readings/?device=a&metric=x&{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert fields(answer.json()) == {field}


def test_no_device_at_all_is_named_too(here: Place, client: TestClient) -> None:  # noqa: ARG001
    missing = client.get("/api/readings/")
    assert (missing.status_code, fields(missing.json())) == (422, {"device"})
    empty = client.get("/api/readings/?device=,")
    assert (empty.status_code, fields(empty.json())) == (400, {"device"})
    crowd = client.get("/api/readings/?device=" + ",".join(str(n) for n in range(101)))
    assert (crowd.status_code, fields(crowd.json())) == (400, {"device"})


def test_too_many_readings_are_refused_not_cut(
    here: Place, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_POINTS", 5)
    now = now_ms()
    here.store("a", "x", [(now - n, 1.0) for n in range(1, 4)])
    here.store("a", "y", [(now - n, 1.0) for n in range(1, 4)])
    assert len(client.get("/api/readings/?device=a&metric=x&resolution=raw").json()["points"]) == 3
    answer = client.get("/api/readings/?device=a&resolution=raw")
    assert answer.status_code == 400
    assert "more than 5 points" in answer.json()["detail"]


def test_where_many_series_are_asked_for_each_has_fewer_points(
    here: Place, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_POINTS", 40)
    for metric in ("x", "y"):
        here.store("a", metric, [(NOON + n * 1_000, 1.0) for n in range(100)])
    found = client.get(f"/api/readings/?device=a&from={NOON}&to={NOON + 100_000}").json()
    assert [(one["bucket_ms"], len(one["points"])) for one in found] == [(5_000, 20), (5_000, 20)]


# Resolutions

DAY = 86_400_000


@pytest.fixture
def month(anywhere: Place) -> Place:
    """Thirty days at half an hour, with one peak."""
    rows = [(NOON + n * 1_800_000, 99.0 if n == 700 else n % 10) for n in range(30 * 48)]
    anywhere.store("kitchen", "temperature", rows, "°C")
    return anywhere


def asked(client: TestClient, **parameters: Any) -> dict[str, Any]:
    query: dict[str, str | int] = {"device": "kitchen", "metric": "temperature", "from": NOON, "to": NOON + 30 * DAY}
    query |= parameters
    answer = client.get("/api/readings/", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.usefixtures("month")
def test_as_many_points_as_asked_for_and_no_peak_lost(client: TestClient) -> None:
    for points, resolution, bucket_ms in (
        (2000, "raw", None),
        (1000, "hours", 3_600_000),
        (400, "hours", 2 * 3_600_000),
        (30, "days", DAY),
        (10, "days", 3 * DAY),
    ):
        found = asked(client, points=points)
        assert (found["resolution"], found["bucket_ms"]) == (resolution, bucket_ms)
        assert len(found["points"]) <= points + 1
        assert max(point["max"] for point in found["points"]) == 99.0
        assert sum(point["n"] for point in found["points"]) == 30 * 48


@pytest.mark.usefixtures("month")
@pytest.mark.parametrize("resolution", ["raw", "minutes", "hours", "days"])
def test_a_resolution_by_name(client: TestClient, resolution: str) -> None:
    found = asked(client, resolution=resolution, points=1)
    assert found["resolution"] == resolution
    assert found["bucket_ms"] == {"raw": None, "minutes": 60_000, "hours": 3_600_000, "days": DAY}[resolution]
    assert len(found["points"]) == {"raw": 1440, "minutes": 1440, "hours": 720, "days": 31}[resolution]


@pytest.mark.usefixtures("month")
def test_days_are_those_of_the_zone_that_was_asked_for(client: TestClient) -> None:
    found = asked(client, resolution="days", tz="Asia/Kolkata")
    assert {(point["ts"] + 5.5 * 3_600_000) % DAY for point in found["points"]} == {0}


def test_the_zone_of_the_screens_is_the_one_without_a_name(month: Place, client: TestClient) -> None:
    month.runtime.settings = month.runtime.settings.model_copy(update={"display_timezone": "Asia/Kolkata"})
    found = asked(client, resolution="days")
    assert {(point["ts"] + 5.5 * 3_600_000) % DAY for point in found["points"]} == {0}
    midnight = asked(client, **{"from": "2025-12-01", "to": "2025-12-02", "resolution": "raw"})
    assert midnight["points"][0]["ts"] == 1_764_527_400_000


def test_what_has_not_changed_is_not_sent_again(month: Place, client: TestClient) -> None:
    query = f"/api/readings/?device=kitchen&metric=temperature&from={NOON}&to={NOON + DAY}"
    first = client.get(query)
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = client.get(query, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    month.store("kitchen", "temperature", [(NOON + 1, 5.0)])
    assert client.get(query, headers={"If-None-Match": tag}).headers["etag"] != tag


# What cannot be asked


def test_five_hundred_years_are_answered(month: Place, client: TestClient) -> None:  # noqa: ARG001
    found = asked(client, **{"from": "1700-01-01", "to": "2200-01-01"})
    assert sum(point["n"] for point in found["points"]) == 30 * 48
    assert asked(client, **{"from": "0001-01-01", "to": "9999-12-31", "points": 20_000})["points"]


@pytest.mark.parametrize("points", ["0", "-1", "20001", "1000000000", "1e3", "many", "9" * 40])
def test_points_that_cannot_be_are_named(here: Place, client: TestClient, points: str) -> None:
    here.store("a", "x", [(NOON, 1.0)])
    answer = client.get(f"/api/readings/?device=a&metric=x&points={points}")
    assert answer.status_code == 422
    assert fields(answer.json()) == {"points"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_unknown_and_no_more(here: Place, client: TestClient, name: str) -> None:
    here.store("a", "x", [(NOON, 1.0)])
    for path in ("readings/", "export.csv", "export.parquet", "export.xlsx"):
        for query in ({"device": name}, {"device": "a", "metric": name}):
            answer = client.get(f"/api/{path}", params=query)
            assert answer.status_code == 404, (path, query, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "", "../../etc/passwd", "/etc/localtime", "Europe", "\U0001f30d", "a\0b"]
)
def test_a_zone_that_does_not_exist_is_named(here: Place, client: TestClient, zone: str) -> None:
    here.store("a", "x", [(NOON, 1.0)])
    for path in ("readings/", "export.csv"):
        answer = client.get(f"/api/{path}", params={"device": "a", "tz": zone})
        assert (answer.status_code, fields(answer.json())) == (400, {"tz"})


def test_history_while_the_database_is_away_is_503(here: Place, client: TestClient) -> None:
    here.change(reading("a", "x", NOON, 1.0), AboutChange("a", None, None, {}, {}, NOON))
    here.runtime.engine = create("sqlite:////proc/nowhere.db")
    for path in ("/api/readings/?device=a&metric=x", "/api/show_dht22_db/", "/api/series/"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "database" in answer.json()["detail"]
