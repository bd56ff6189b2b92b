"""What the doctor says of the broker: what is to be done first, what is well folded away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from html import escape
from typing import Final

import streamlit as st

from broker.doctor.finding import Finding, Severity
from pages.parts.clock import display_zone, now_ms
from pages.parts.format import age, things
from pages.parts.login import check_role
from pages.parts.tables import dim
from runtime import get_runtime

#: How long it listens.
LISTEN_S: Final = 3.0
_FOUND: Final = "broker findings"
_SHAPES: Final[dict[Severity, tuple[str, str]]] = {
    "problem": ("trouble", "to be done"),
    "warning": ("late", "to be done soon"),
    "unknown": ("unknown", "not known"),
    "note": ("silent", "good to know"),
    "fine": ("online", "well"),
}
_OPEN: Final[tuple[Severity, ...]] = ("problem", "warning", "unknown", "note")


def findings_html(findings: Sequence[Finding]) -> str:
    """The findings, worst first; those that are well in a fold. Pure."""
    shown = [one for severity in _OPEN for one in findings if one.severity == severity]
    well = [one for one in findings if one.severity == "fine"]
    items = "".join(_item(one) for one in shown)
    rest = "".join(_item(one) for one in well)
    fold = (
        f"<details><summary>{escape(things(len(well), 'thing'))} looked at and well</summary><ul>{rest}</ul></details>"
    )
    return f'<div class="sm-findings"><ul>{items}</ul>{fold if well else ""}</div>'


def _item(finding: Finding) -> str:
    shape, word = _SHAPES[finding.severity]
    why = f" {escape(finding.why)}" if finding.why else ""
    remedy = f'<p class="sm-dim">{escape(finding.remedy)}</p>' if finding.remedy else ""
    return (
        f'<li><span class="sm-state"><span class="shape {shape}"></span>{escape(word)}</span>'
        f"<p><b>{escape(finding.what)}</b>{why}</p>{remedy}</li>"
    )


@st.fragment
def show_doctor() -> None:
    """A button that has the broker looked at, and what came of it. Admins only: it names what is weak."""
    check_role("admin")
    st.subheader("Broker check", anchor=False)
    runtime, zone = get_runtime(), display_zone()
    if runtime.health().broker.embedded:
        st.html(
            dim("The embedded broker is for trying out. Of a broker of your own the doctor says here what is wrong.")
        )
        return
    found: tuple[int, tuple[Finding, ...]] | None = st.session_state.get(_FOUND)
    if found is None:
        st.html(dim("Looks for open doors, clocks that are off, client ids used twice, and what the broker dropped."))
    if st.button("Check the broker" if found is None else "Check again", key="broker_check"):
        with st.spinner(f"Listening for {LISTEN_S:g} seconds"):
            found = (now_ms(), runtime.examine_broker(LISTEN_S))
        st.session_state[_FOUND] = found
        st.rerun(scope="fragment")  # the button has another name now
    if found is not None:
        _show(*found, zone)


def _show(at: int, findings: Sequence[Finding], zone: tzinfo) -> None:
    st.html(findings_html(findings))
    st.html(
        dim(f"Looked at {age(at, now_ms(), zone)}. Limits and files: python -m broker doctor, where the broker runs.")
    )
