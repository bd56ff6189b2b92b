"""The form of a backup: a zip of Parquet files and a manifest of counts and sums, readable without us. Knows no SQL."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

FORM: Final = 1
_MANIFEST: Final = "manifest.json"
_PART_BYTES: Final = 8 * 1024 * 1024


class BadArchive(Exception):
    """The file is no backup, is damaged, or is of a form that this version does not know. The text is a sentence."""


class Part(msgspec.Struct, frozen=True):
    """A Parquet file in the archive."""

    name: str
    rows: int
    sha256: str


class Content(msgspec.Struct, frozen=True):
    """A table. `next_id`: the number that its next row gets, where numbers are never given twice."""

    rows: int
    parts: tuple[Part, ...]
    next_id: int | None = None


class Manifest(msgspec.Struct, frozen=True):
    """What is in an archive. `made_at` is UTC ms.

    `revision`: of the tables' form. `off_by`: readings held less those that the account counts, 0 where all is well.
    Tables stand in the order in which they can be filled.
    """

    form: int
    made_at: int
    revision: str
    database: str
    off_by: int
    tables: dict[str, Content]

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(content.rows for content in self.tables.values())


class Writer:
    """Fills an archive, a table after the other. Each part is held in memory until it is some 8 MiB."""

    def __init__(self, zip_file: zipfile.ZipFile) -> None:
        self._zip = zip_file
        self._tables: dict[str, Content] = {}

    def add(self, table: str, batches: Iterator[pa.Table], next_id: int | None) -> int:
        """Write a table from its rows; how many there were."""
        parts: list[Part] = []
        held: list[pa.Table] = []
        for batch in batches:
            held.append(batch)
            if sum(one.nbytes for one in held) >= _PART_BYTES:
                parts.append(self._write(table, len(parts), held))
                held = []
        if held:
            parts.append(self._write(table, len(parts), held))
        rows = sum(part.rows for part in parts)
        self._tables[table] = Content(rows, tuple(parts), next_id)
        return rows

    def _write(self, table: str, number: int, batches: list[pa.Table]) -> Part:
        whole = pa.concat_tables(batches)
        out = pa.BufferOutputStream()
        pq.write_table(whole, out, compression="zstd")
        content = out.getvalue().to_pybytes()
        part = Part(f"{table}/{number:06d}.parquet", whole.num_rows, hashlib.sha256(content).hexdigest())
        self._zip.writestr(part.name, content)
        return part

    def finish(self, *, made_at: int, revision: str, database: str, off_by: int) -> Manifest:
        """Write the manifest, without which the file is no backup."""
        manifest = Manifest(FORM, made_at, revision, database, off_by, self._tables)
        self._zip.writestr(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        return manifest


@contextmanager
def writing(file: Path) -> Iterator[Writer]:
    """An archive that stands at `file` once it is whole and on the disk. Nobody but its owner may read it.

    Raises:
        OSError: If it can't be written.
    """
    unfinished = file.with_name(f"{file.name}.part")
    try:
        unfinished.unlink(missing_ok=True)  # a run that was killed may have left one
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            with zipfile.ZipFile(out, "w") as zip_file:
                yield Writer(zip_file)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)
        _sync_folder(file.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Reader:
    """An archive that was made. Its manifest was found in order; its parts are checked as they are read."""

    def __init__(self, zip_file: zipfile.ZipFile) -> None:
        self._zip = zip_file
        try:
            self.manifest = msgspec.json.decode(zip_file.read(_MANIFEST), type=Manifest)
        except (KeyError, msgspec.DecodeError) as error:
            raise BadArchive("This is no backup of Smart Monitor: it has no manifest that can be read.") from error
        if self.manifest.form != FORM:
            raise BadArchive(f"This backup is of form {self.manifest.form}, and this version knows form {FORM} alone.")

    def check(self, part: Part) -> bytes:
        """The part's bytes. Raises BadArchive if they are not those that were written."""
        try:
            content = self._zip.read(part.name)
        except (KeyError, zipfile.BadZipFile, OSError, EOFError) as error:
            raise BadArchive(f"The backup is damaged: {part.name} can't be read.") from error
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise BadArchive(f"The backup is damaged: the SHA-256 of {part.name} is not the one in the manifest.")
        return content

    def read(self, part: Part) -> Any:
        """The part as an Arrow table. Raises BadArchive."""
        try:
            table = pq.read_table(pa.BufferReader(self.check(part)))
        except pa.ArrowException as error:
            raise BadArchive(f"The backup is damaged: {part.name} is no Parquet file.") from error
        if table.num_rows != part.rows:
            raise BadArchive(f"The backup is damaged: {part.name} has {table.num_rows} rows in place of {part.rows}.")
        return table


@contextmanager
def reading(file: Path) -> Iterator[Reader]:
    """An archive, opened. Raises BadArchive, OSError."""
    try:
        with zipfile.ZipFile(file) as zip_file:
            yield Reader(zip_file)
    except zipfile.BadZipFile as error:
        raise BadArchive(f"{file} is no backup, or only a part of one: its end is missing.") from error
