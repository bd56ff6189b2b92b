"""How every page looks beyond the theme: the project's mark and one style sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import streamlit as st

_HERE: Final = Path(__file__).parent
MARK: Final = _HERE / "mark.svg"
_STYLES: Final = ("shapes.css", "look.css", "doors.css", "history.css", "devices.css")


def ink() -> str:
    """The colour of text in the theme that the browser shows."""
    return str(_of_theme("textColor") or "gray")


def palette() -> tuple[str, ...]:
    """The colours of series in that theme, in the order in which charts take them."""
    return tuple(_of_theme("chartCategoricalColors") or ("gray",))


def _of_theme(name: str) -> Any:
    return st.get_option(f"theme.{'dark' if st.context.theme.type == 'dark' else 'light'}.{name}")


def apply_look() -> None:
    """Put the style sheet on the page. Call it once a run, before anything is shown."""
    css = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES)
    st.html(f"<style>{css}</style>")
