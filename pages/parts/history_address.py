"""The page's address as what is shown, and what is shown as the address.

A browser sends its address with all it asks for: also with the ticks of a part of the page that runs by itself, and
with the next click. What it sends right after the address was changed may still carry the one before, and would undo
the change. So an address that was replaced a moment ago is not taken for one that somebody went to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import streamlit as st

from pages.parts.clock import now_ms
from pages.parts.periods import Period
from pages.parts.view import View, from_query, to_query

#: An address as it stands there, by name and in order.
Query = tuple[tuple[str, tuple[str, ...]], ...]

#: For so long after it was replaced, an address may still come from a browser that has not heard of it.
_ECHO_MS: Final = 2_000
_KNOWN: Final = "history address"


@dataclass(frozen=True, slots=True)
class Address:
    """What is shown, and the address that says so. `replaced`: those before it, with when they were, UTC ms."""

    view: View
    query: Query
    replaced: Mapping[Query, int] = field(default_factory=dict)

    def heard(self, query: Query, now: int) -> Address:
        """The address after a browser sent `query` at `now` (UTC ms)."""
        if query == self.query or now - self.replaced.get(query, now - _ECHO_MS) < _ECHO_MS:
            return self
        return Address(from_query(dict(query)), query)

    def changed(self, view: View, now: int) -> Address:
        """The address of another view, which was chosen at `now`."""
        query = written(view)
        recent = {old: at for old, at in self.replaced.items() if now - at < _ECHO_MS and old != query}
        # Read back, so that it is what the address says, without what an older one got wrong.
        return Address(from_query(dict(query)), query, recent if query == self.query else {**recent, self.query: now})


def written(view: View) -> Query:
    """The view as an address."""
    return _ordered(
        {name: (value,) if isinstance(value, str) else tuple(value) for name, value in to_query(view).items()}
    )


def _ordered(query: Mapping[str, tuple[str, ...]]) -> Query:
    return tuple(sorted(query.items()))


def current_view() -> View:
    """The view that is shown. An address that is an echo is put right."""
    query = _ordered({name: tuple(st.query_params.get_all(name)) for name in st.query_params})
    known: Address | None = st.session_state.get(_KNOWN)
    address = Address(from_query(dict(query)), query) if known is None else known.heard(query, now_ms())
    st.session_state[_KNOWN] = address
    if address.query != query:
        st.query_params.from_dict({name: list(values) for name, values in address.query})
    return address.view


def go(view: View) -> None:
    """Change the address."""
    current_view()
    address: Address = st.session_state[_KNOWN].changed(view, now_ms())
    st.session_state[_KNOWN] = address
    st.query_params.from_dict({name: list(values) for name, values in address.query})


def go_to(shown: Period) -> None:
    """Show a period of its own."""
    go(replace(current_view(), whole=shown, zoom=None))
