"""How every page looks beyond the theme: the project's mark and one style sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import streamlit as st

_HERE: Final = Path(__file__).parent
MARK: Final = _HERE / "mark.svg"
_STYLES: Final = ("shapes.css", "look.css", "doors.css")


def ink() -> str:
    """The colour of text in the theme that the browser shows."""
    return str(st.get_option(f"theme.{'dark' if st.context.theme.type == 'dark' else 'light'}.textColor") or "gray")


def apply_look() -> None:
    """Put the style sheet on the page. Call it once a run, before anything is shown."""
    css = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES)
    st.html(f"<style>{css}</style>")
