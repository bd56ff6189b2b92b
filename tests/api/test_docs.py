from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from tests.api.server import Place, Served
from tests.parts.chromium import Pages


def test_openapi_says_where_the_paths_are(here: Place, client: TestClient) -> None:  # noqa: ARG001
    schema = client.get("/api/openapi.json").json()
    assert schema["servers"] == [{"url": "/api"}]
    assert {"/dht22_db/", "/readings/", "/devices/{device}/", "/live/", "/metrics"} <= set(schema["paths"])
    names = {parameter["name"] for parameter in schema["paths"]["/readings/"]["get"]["parameters"]}
    assert names == {"device", "metric", "from", "to", "points", "resolution", "tz"}


def test_openapi_tells_of_the_errors_that_are_really_answered(here: Place, client: TestClient) -> None:  # noqa: ARG001
    schema = client.get("/api/openapi.json").json()
    responses = schema["paths"]["/readings/"]["get"]["responses"]
    for status in ("400", "404", "422", "503"):
        assert list(responses[status]["content"]) == ["application/problem+json"]
    health = schema["paths"]["/health/"]["get"]["responses"]
    assert health["503"]["content"]["application/json"]["schema"]["$ref"].endswith("/HealthAnswer")
    assert not dangling(schema)
    assert "HTTPValidationError" not in client.get("/api/openapi.json").text


def dangling(schema: dict[str, Any]) -> set[str]:
    """References in the document that lead nowhere."""
    found: set[str] = set()

    def walk(part: object) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                found.add(part["$ref"].removeprefix("#/components/schemas/"))
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(schema)
    return found - set(schema["components"]["schemas"])


def test_the_page_shows_the_paths_and_asks_no_other_host(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/api/docs")
    page.get_by_role("link", name="/readings/").wait_for()
    assert page.title() == "Smart Monitor: API"


def test_trying_a_path_from_the_page_reaches_the_server(served: Served, pages: Pages) -> None:
    page = pages.open(f"{served.url}/api/docs")
    operation = page.locator("#operations-health-show_health_health__get")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/api/health/") as answer:
        operation.get_by_role("button", name="Execute").click()
    assert answer.value.status == 200
