"""One thing that the doctor looked at: what it is, why it matters, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["fine", "note", "warning", "problem", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is its name, for filters. `remedy`: what to type or change.

    `note`: worth knowing, nothing to do now. `warning`, `problem`: to be done. `unknown`: it could not be looked at.
    """

    check: str
    severity: Severity
    what: str
    why: str = ""
    remedy: str = ""

    @property
    def line(self) -> str:
        """All of it in one line."""
        return " ".join(part for part in (self.what, self.why, self.remedy) if part)


def fine(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "fine", what)


def to_be_done(findings: Iterable[Finding]) -> bool:
    """Whether somebody has to do something."""
    return any(one.severity in {"warning", "problem"} for one in findings)
