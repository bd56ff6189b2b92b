"""A broker looked at from outside, with nothing but an address and a login."""

from __future__ import annotations

from broker.connection import Endpoint
from broker.doctor.broker_checks import ANSWER_S, check_broker
from broker.doctor.finding import Finding
from broker.doctor.machine_checks import check_clock
from broker.doctor.tls_checks import check_tls


def examine(endpoint: Endpoint, root: str, seconds: float, patience_s: float = ANSWER_S) -> tuple[Finding, ...]:
    """Listen for `seconds`, try TLS if the address says so, ask for this machine's clock. Takes a little longer."""
    tls = (check_tls(endpoint.host, endpoint.port, endpoint.ca_file, patience_s),) if endpoint.tls else ()
    return (*check_broker(endpoint, root, seconds, patience_s), *tls, check_clock())
