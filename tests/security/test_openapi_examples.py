"""What schemathesis makes of the OpenAPI document is answered, by an admin and by nobody, without a 500."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error

from tests.api.people import FROM_OUR_PAGE, People
from tests.api.server import Place, mounted

EXAMPLES = settings(
    max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)


def test_no_example_makes_the_server_fail(here: Place, people: People) -> None:
    here.runtime.announce_stop()  # so that a live stream ends
    described = schemathesis.openapi.from_asgi("/api/openapi.json", mounted())
    admin = people.jwt("admin") | FROM_OUR_PAGE
    tried = []
    for found in described.exclude(path="/health/").get_all_operations():  # it says 503 while the server stops
        operation = found.ok()

        @EXAMPLES
        @given(case=operation.as_strategy())
        def answers(case: schemathesis.Case) -> None:
            for credentials in ({}, admin):
                case.headers.update(credentials)
                case.call_and_validate(checks=[not_a_server_error])

        answers()
        tried.append(operation.label)
    assert len(tried) > 20
