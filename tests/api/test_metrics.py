from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from db.resends import ResendCounts
from ingest.health import Account, Counts, DeadLetters, Rates, ThreadHealth, WorkerHealth
from ingest.snapshot import ReadingChange, StatusChange
from tests.api.people import People
from tests.api.server import Place, Served, mounted
from tests.parts.eventually import eventually

THREADS = (ThreadHealth("ingest", True, 2), ThreadHealth("upkeep", False, 0, "ValueError: x"))


@pytest.fixture
def local() -> Iterator[TestClient]:
    """Asks from this machine."""
    with TestClient(mounted(), client=("127.0.0.1", 50_000)) as client:
        yield client


def scraped(client: TestClient) -> dict[str, float]:
    answer = client.get("/api/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_account_and_the_state_of_all_parts(here: Place, local: TestClient) -> None:
    told = here.worker.health()
    here.worker.told = replace(
        told,
        account=Account(Counts(5, 2, 1, 3), Counts(10, 4, 2, 6)),
        rates=Rates(60, 120, 12),
        threads=THREADS,
        dead_letters=DeadLetters(7, 12),
        resends=ResendCounts(4, 3, 2, 1),
    )
    here.change(
        StatusChange("a", True, 1),
        StatusChange("b", False, 1),
        StatusChange("c", False, 1),
        ReadingChange("d", "v", 1, 1, 1),
    )
    found = scraped(local)
    expected = {
        "smartmonitor_messages_total stored": 5,
        "smartmonitor_messages_total duplicate": 2,
        "smartmonitor_messages_total rejected": 1,
        "smartmonitor_messages_waiting": 3,
        "smartmonitor_readings_total stored": 10,
        "smartmonitor_readings_total duplicate": 4,
        "smartmonitor_readings_total rejected": 2,
        "smartmonitor_readings_waiting": 6,
        "smartmonitor_can_store": 0,
        "smartmonitor_broker_up": 1,
        "smartmonitor_database_up": 1,
        "smartmonitor_store_seconds": 0.012,
        "smartmonitor_thread_alive ingest": 1,
        "smartmonitor_thread_alive upkeep": 0,
        "smartmonitor_thread_restarts_total ingest": 2,
        "smartmonitor_thread_restarts_total upkeep": 0,
        "smartmonitor_devices online": 1,
        "smartmonitor_devices offline": 2,
        "smartmonitor_devices unknown": 1,
        "smartmonitor_snapshot_version": here.board.current.version,
        "smartmonitor_dead_letters": 7,
        "smartmonitor_dead_letters_removed_total": 12,
        "smartmonitor_resends waiting": 4,
        "smartmonitor_resends repaired": 3,
        "smartmonitor_resends gone": 2,
        "smartmonitor_resends unanswered": 1,
    }
    assert {name: value for name, value in found.items() if name.startswith("smartmonitor")} == expected
    assert found["process_resident_memory_bytes"] > 1_000_000


def test_each_scrape_tells_what_is_so_then(here: Place, local: TestClient) -> None:
    before = scraped(local)
    assert (before["smartmonitor_can_store"], "smartmonitor_store_seconds" in before) == (1, False)
    here.vitals.database_lost("gone")
    after = scraped(local)
    assert (after["smartmonitor_database_up"], after["smartmonitor_can_store"]) == (0, 0)


def test_counters_are_left_out_until_the_database_told_them(here: Place, local: TestClient) -> None:
    told = here.worker.health()
    here.worker.told = replace(told, database=replace(told.database, state="connecting", product=None))
    found = scraped(local)
    assert found["smartmonitor_database_up"] == 0
    assert "smartmonitor_messages_total stored" not in found


def test_workers_elsewhere_are_listed_with_the_age_of_their_heartbeat(here: Place, local: TestClient) -> None:
    here.worker.told = replace(here.worker.health(), mode="off", workers=(WorkerHealth("w1", 2_500, "connected"),))
    assert scraped(local)["smartmonitor_worker_heartbeat_age_seconds w1"] == 2.5


def test_open_metrics_where_it_is_asked_for(here: Place, local: TestClient) -> None:  # noqa: ARG001
    answer = local.get("/api/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.9.9.9", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("10.0.0.7", {}, 401),
        ("::ffff:10.0.0.7", {}, 401),
        ("not-an-address", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}, 401),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.7"}, 401),
    ],
)
def test_it_is_open_on_this_machine_and_elsewhere_to_admins(
    people: People, host: str, headers: dict[str, str], status: int
) -> None:
    with TestClient(mounted(), client=(host, 50_000)) as client:
        answer = client.get("/api/metrics", headers=headers)
        by_admin = client.get("/api/metrics", headers=headers | people.key("admin"))
        by_operator = client.get("/api/metrics", headers=headers | people.key("operator"))
    assert answer.status_code == status
    assert by_admin.status_code == 200
    assert by_operator.status_code == (200 if status == 200 else 403)
    if status == 401:
        assert answer.headers["content-type"] == "application/problem+json"
        assert "the server's own machine, and admins" in answer.json()["detail"]


def test_it_is_open_over_a_real_connection_too(served: Served) -> None:
    with urllib.request.urlopen(f"{served.url}/api/metrics", timeout=5) as answer:
        assert b"smartmonitor_messages_total" in answer.read()


def test_sizes_are_told_once_they_were_looked_for(here: Place, local: TestClient) -> None:  # noqa: ARG001
    eventually(lambda: "smartmonitor_database_readings" in scraped(local))
    found = scraped(local)
    assert found["smartmonitor_database_bytes readings"] > 0
    assert found["smartmonitor_database_disk_free_bytes"] > 0
    assert found["smartmonitor_database_readings"] == 0
