"""Faults of Mosquitto's versions that matter here. Pure.

Sources: Mosquitto's ChangeLog and security advisories; what says "seen here" was measured (docs/bridge.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from broker.doctor.finding import Finding, fine

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong in versions before `mended`."""

    mended: Version
    what: str
    remedy: str = ""


#: The first version with which TLS bridges were not seen to freeze.
TLS_BRIDGE: Final = (2, 0, 22)
#: The first version whose configuration is as we write it.
OLDEST: Final = (2, 0, 0)

_FAULTS: Final = (
    Fault(
        TLS_BRIDGE,
        "a bridge with TLS can freeze the whole broker when the far end accepts and never finishes (seen here)",
        "Our bridges go through stunnel because of that, by themselves.",
    ),
    Fault((2, 0, 16), "memory can leak with repeated QoS 2 messages (CVE-2023-28366)"),
    Fault((2, 0, 19), "crafted packets can crash it (CVE-2024-8376)"),
)


def check_version(version: Version | None) -> tuple[Finding, ...]:
    """What is known of this version; `None`: the broker does not tell, or is no Mosquitto."""
    if version is None:
        return (Finding("version", "unknown", "The broker does not say which version of Mosquitto it is."),)
    shown = ".".join(map(str, version))
    if version < OLDEST:
        return (
            Finding("version", "problem", f"Mosquitto {shown} is too old.", "It knows no dynamic security plugin.",
                    "Install 2.0 or newer."),
        )  # fmt: skip
    faults = [fault for fault in _FAULTS if version < fault.mended]
    if not faults:
        return (fine("version", f"Mosquitto {shown}."),)
    known = "; ".join(fault.what for fault in faults)
    remedies = " ".join(fault.remedy for fault in faults if fault.remedy)
    newest = ".".join(map(str, max(fault.mended for fault in faults)))
    return (
        Finding(
            "version",
            "note",
            f"Mosquitto {shown}: known faults.",
            f"In its own releases before {newest}: {known}. Distributions mend some without a new number.",
            f"Keep it up to date (apt-get upgrade mosquitto). {remedies}".strip(),
        ),
    )
