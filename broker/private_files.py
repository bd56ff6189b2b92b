"""Writes files whole or not at all, those with secrets for their owner's eyes alone."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(file: Path, content: bytes | str) -> None:
    """Write a file that only its owner can read, in place of the one there may be."""
    _write(file, content, 0o600)


def write_public(file: Path, content: bytes | str) -> None:
    """Write a file that everybody may read who may enter its directory."""
    _write(file, content, 0o644)


def _write(file: Path, content: bytes | str, mode: int) -> None:
    data = content.encode() if isinstance(content, str) else content
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    # Private from its first moment on, whatever the umask.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as out:
        os.fchmod(out.fileno(), mode)
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(file)
