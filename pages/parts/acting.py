"""HTML with buttons in it, and which of them was pressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import streamlit as st

_SCRIPT: Final = Path(__file__).with_suffix(".js")


def show_acting(html: str, key: str) -> None:
    """Show this HTML; everything in it that is not ours is escaped already. `take_act` tells what was pressed."""

    def note() -> None:
        st.session_state[_name(key)] = st.session_state[key]["act"]

    _component()(key=key, data={"html": html}, on_act_change=note)


def take_act(key: str) -> tuple[str, str]:
    """What was pressed since it was last asked: the verb and what stands behind its colon, empty if nothing was.

    It comes from the browser, so it may be anything.
    """
    act = st.session_state.pop(_name(key), None)
    verb, _, of = act.partition(":") if isinstance(act, str) else ("", "", "")
    return verb, of


def _name(key: str) -> str:
    return f"{key} act"


def _component() -> Any:
    return st.components.v2.component("acting", js=_SCRIPT.read_text(encoding="utf-8"), isolate_styles=False)
