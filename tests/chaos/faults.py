"""All faults, each on every database that it applies to."""

from __future__ import annotations

from typing import Final

import pytest

from tests.chaos.broker_faults import BROKER_FAULTS
from tests.chaos.database_faults import DATABASE_FAULTS
from tests.chaos.worker_faults import WORKER_FAULTS

CASES: Final = [
    pytest.param(fault, database, id=f"{fault.name} {database}".replace(" ", "-"))
    for fault in (*WORKER_FAULTS, *DATABASE_FAULTS, *BROKER_FAULTS)
    for database in fault.databases
]
