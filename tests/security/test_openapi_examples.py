"""What schemathesis makes of the OpenAPI document is answered, by an admin and by nobody, without a 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error

from tests.api.people import FROM_OUR_PAGE, People
from tests.api.server import Place, mounted

EXAMPLES = settings(
    max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)


@pytest.mark.parametrize(("method", "at_least"), [("GET", 15), ("POST", 6), ("DELETE", 3), ("PATCH", 1)])
def test_no_example_makes_the_server_fail(here: Place, people: People, method: str, at_least: int) -> None:
    here.runtime.announce_stop()  # so that a live stream ends
    described = schemathesis.openapi.from_asgi("/api/openapi.json", mounted())
    admin = people.jwt("admin") | FROM_OUR_PAGE
    tried: list[str] = []
    # While the server stops /health/ says 503.
    for found in described.include(method=method).exclude(path="/health/").get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # the document is ours, and right

        @EXAMPLES
        @given(case=operation.as_strategy())
        def answers(case: schemathesis.Case[Any]) -> None:
            for credentials in ({}, admin):
                case.headers.update(credentials)
                case.call_and_validate(checks=[not_a_server_error])

        answers()
        tried.append(operation.label)
    assert len(tried) >= at_least
