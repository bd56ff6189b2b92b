"""What the tests of settings share."""

from __future__ import annotations

import pytest

from settings import SettingsError, load


def set_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Set these in the environment until the test ends."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def mistakes() -> list[str]:
    """The lines that stop the start; fails if nothing does."""
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value).splitlines()
