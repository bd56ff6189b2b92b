"""What the API's tests have."""

from __future__ import annotations

from tests.api.conftest import client, here, people, served

__all__ = ["client", "here", "people", "served"]
