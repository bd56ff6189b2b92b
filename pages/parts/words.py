"""Other people's words, escaped for the place where they are shown: HTML, or Streamlit's Markdown. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import Final

_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
#: What Markdown, its directives, emoji codes and formulas may begin with: all of ASCII's punctuation.
_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str, limit: int = 200) -> str:
    """The text on one line, cut to `limit` characters; what is no printable character shows as its code."""
    cut = _ELLIPSIS if len(text) > limit else ""
    return "".join(one if one.isprintable() else _code(one) for one in text[:limit]) + cut


def _code(one: str) -> str:
    return f"\\x{ord(one):02x}" if ord(one) < 256 else f"\\u{ord(one):04x}"


def html(text: str, limit: int = 200) -> str:
    """The text for HTML, within an element or a quoted attribute."""
    return escape(plain(text, limit))


def markdown(text: str, limit: int = 200) -> str:
    """The text for a label, a title or any other place where Streamlit reads Markdown."""
    return _PUNCTUATION.sub(r"\\\1", plain(text, limit))
