"""README's settings table has every setting, with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from settings import Settings

ROOT: Final = Path(__file__).parents[2]
NAMES: Final = sorted(name.upper() for name in Settings.model_fields)


def _documented() -> dict[str, str]:
    """Default by setting, as README's table has them."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Settings")[1].split("\n## ")[0]
    found: dict[str, str] = {}
    for row in re.findall(r"^\| (`[A-Z].*?) \| (.*?) \| .* \|$", table, re.MULTILINE):
        names, defaults = re.findall(r"`([A-Z_]+)`", row[0]), row[1].split(", ")
        for index, name in enumerate(names):
            found[name] = (defaults[index] if len(defaults) == len(names) else row[1]).replace("`", "")
    return found


def test_readme_names_every_setting_and_no_other() -> None:
    assert sorted(_documented()) == NAMES


_IN_WORDS: Final = {
    "DATABASE_URL": "sqlite:///data/monitor.db",
    "MQTT_CLIENT_ID": "smart-monitor-<host>",
    "DEMO_DEVICES": "3 with the embedded broker, else 0",
    "SECRET_KEY": "generated in <DATA_DIR>/secret_key",
    "ADMIN_PASSWORD": "generated, printed once",
    "RETENTION_RAW_DAYS": "unset: keep",
    "RETENTION_HOUR_DAYS": "unset: keep",
    "DISPLAY_TIMEZONE": "browser's, else UTC",
    "BASE_PATH": "empty",
    "TRUSTED_PROXIES": "none",
}


@pytest.mark.parametrize("name", NAMES)
def test_readme_has_the_default(name: str) -> None:
    default = getattr(Settings(), name.lower())
    expected = _IN_WORDS.get(name, "unset" if default is None else str(default))
    assert _documented()[name] == expected
