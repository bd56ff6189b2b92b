"""What time it is, and in which zone it is told."""

from __future__ import annotations

import time
from zoneinfo import ZoneInfo

import streamlit as st

from runtime import get_runtime


def now_ms() -> int:
    """This machine's clock, UTC ms."""
    return time.time_ns() // 1_000_000


def display_zone() -> ZoneInfo:
    """DISPLAY_TIMEZONE, else the browser's zone, else UTC."""
    for name in (get_runtime().settings.display_timezone, st.context.timezone):
        if isinstance(name, str) and name:
            try:
                return ZoneInfo(name)
            except (KeyError, ValueError, OSError):  # a browser may know a zone that this machine does not
                continue
    return ZoneInfo("UTC")
