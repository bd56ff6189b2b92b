"""A private certificate authority for one test, and a server certificate from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from broker.certificates import Authority


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority's certificate, and the server's with its key, for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path) -> Certificates:
    """Make an authority and a server certificate in `directory`, good for a day."""
    authority = Authority(directory)
    authority.make("Test authority", days=1)
    authority.make_server(("127.0.0.1",), days=1)
    return Certificates(authority.certificate, authority.server_certificate, authority.server_key)
