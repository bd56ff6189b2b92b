"""The account as a sum that one can check by eye."""

from __future__ import annotations

from typing import Final

from ingest.health import Account
from pages.parts.format import count

_LINES: Final = (
    ("", "stored"),
    ("+", "duplicate"),
    ("+", "rejected"),
    ("+", "waiting"),
)


def account_html(account: Account) -> str:
    """A table: stored + duplicate + rejected + waiting = received, in messages and in readings."""
    body = "".join(
        _row(sign, name, getattr(account.messages, name), getattr(account.readings, name)) for sign, name in _LINES
    )
    total = _row("=", "received", account.messages.received, account.readings.received)
    return (
        '<p class="sm-dim">What became of everything that was ever received. It always adds up.</p>'
        '<table class="sm-sum"><thead><tr><th scope="col"><span class="unseen">what became of it</span></th>'
        '<th scope="col">messages</th><th scope="col">readings</th></tr></thead>'
        f"<tbody>{body}</tbody><tfoot>{total}</tfoot></table>"
    )


def _row(sign: str, name: str, messages: int, readings: int) -> str:
    return (
        f'<tr><th scope="row"><span class="sm-sign">{sign}</span>{name}</th>'
        f"<td>{count(messages)}</td><td>{count(readings)}</td></tr>"
    )
