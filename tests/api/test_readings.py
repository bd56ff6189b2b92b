from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from api import readings
from db.engine import create
from ingest.snapshot import AboutChange, ReadingChange, StatusChange
from ingest.vitals import now_ms
from tests.api.server import Place, fields

NOON = 1_764_000_000_000


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
    monkeypatch.setattr(readings, "MOST_POINTS", 5)
    now = now_ms()
    here.store("a", "x", [(now - n, 1.0) for n in range(1, 4)])
    here.store("a", "y", [(now - n, 1.0) for n in range(1, 4)])
    assert len(client.get("/api/readings/?device=a&metric=x").json()["points"]) == 3
    answer = client.get("/api/readings/?device=a")
    assert answer.status_code == 400
    assert "more than 5 readings" in answer.json()["detail"]


def test_history_while_the_database_is_away_is_503(here: Place, client: TestClient) -> None:
    here.change(reading("a", "x", NOON, 1.0), AboutChange("a", None, None, {}, {}, NOON))
    here.runtime.engine = create("sqlite:////proc/nowhere.db")
    for path in ("/api/readings/?device=a&metric=x", "/api/show_dht22_db/", "/api/series/"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "database" in answer.json()["detail"]
