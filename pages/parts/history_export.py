"""What is shown, to take away: links to the API, and the same as a line for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from shlex import quote
from typing import Final
from urllib.parse import urlencode, urljoin

from pages.parts.chosen_series import Choice
from pages.parts.periods import Period, iso
from pages.parts.view import View

FORMATS: Final[Mapping[str, str]] = {"csv": "CSV", "parquet": "Parquet", "xlsx": "XLSX"}


def export_path(format_name: str, choice: Choice, view: View, shown: Period, zone: str) -> str:
    """The export's address within the server, with all that was chosen on the page."""
    asked: list[tuple[str, str]] = [("device", name) for name in choice.devices]
    asked += [("metric", name) for name in dict.fromkeys(one.series.metric for one in choice.shown)]
    asked += [("from", iso(shown.start)), ("to", iso(shown.end)), ("tz", zone)]
    asked += [("resolution", view.resolution), ("form", view.form)]
    return f"api/export.{format_name}?{urlencode(asked)}"


def buttons(paths: Mapping[str, str], what: str) -> str:
    """A link that looks like a button for each format. `what` says to readers what is exported."""
    links = "".join(
        f'<a class="sm-button" href="{escape(path)}" download>Export {FORMATS[name]}'
        f'<span class="unseen"> of {escape(what)}</span></a>'
        for name, path in paths.items()
    )
    return f'<p class="sm-exports">{links}</p>'


def curl_line(address: str, path: str, *, key_needed: bool) -> str:
    """A line that fetches an export from the server at `address`, any of its pages. The key is left to be filled in."""
    key = """ -H "Authorization: Bearer $API_KEY\"""" if key_needed else ""
    return f"curl -fOJ{key} {quote(urljoin(address, path))}"
