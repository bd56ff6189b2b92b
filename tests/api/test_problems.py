from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.api.server import Place


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing/", 404),
        ("GET", "/api/nothing", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/docs_files/nothing.js", 404),
        ("GET", "/api/devices/nothing/", 404),
        ("DELETE", "/api/health/", 405),
        ("POST", "/api/readings/", 405),
        ("GET", "/api/show_dht22_db/?limit=0", 422),
        ("GET", "/api/readings/?device=a&from=x", 400),
    ],
)
def test_every_error_is_a_problem(here: Place, client: TestClient, method: str, path: str, status: int) -> None:  # noqa: ARG001
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert len(body["detail"]) > 10
    if status == 405:
        assert "GET" in answer.headers["allow"]


def test_an_error_nobody_foresaw_is_a_problem_without_a_traceback(
    here: Place, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_runtime: object) -> None:
        raise RuntimeError("the cause")

    monkeypatch.setattr(type(here.runtime), "health", fail)
    answer = client.get("/api/health/")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "the cause" not in answer.text
    assert "Traceback" not in answer.text
