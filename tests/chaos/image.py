"""A Dockerfile carried out without an engine: each stage in a Debian tree, its instructions one by one.

It knows the instructions that ours has, and takes the tree for the image that `FROM` names.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.parts.debian import Debian

_INSTRUCTION: Final = re.compile(r"^([A-Z]+) (.*)$")
_IGNORED: Final = frozenset({"__pycache__"})


@dataclass(slots=True)
class Stage:
    """What `FROM` begins: its instructions in order."""

    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Image:
    """What the last stage says of a container that is started from it."""

    directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    volume: str = ""
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile. Raises ValueError for a line that is no instruction."""
    found: list[Stage] = []
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in filter(None, re.sub(r"\\\n\s*", "", lines).splitlines()):
        match = _INSTRUCTION.match(line)
        if match is None:
            raise ValueError(f"no instruction: {line}")
        if match[1] == "FROM":
            found.append(Stage(match[2].partition(" AS ")[2]))
        else:
            found[-1].instructions.append((match[1], match[2]))
    return found


def build(stage: Stage, debian: Debian, checkout: Path, others: dict[str, Path]) -> Image:
    """Carry out a stage. `others`: trees of the stages before, by name. Raises AssertionError if a command fails."""
    image = Image()
    for name, text in stage.instructions:
        if name == "RUN":
            done = debian.run(f"cd {image.directory}\n{text}", internet=True, seconds=900)
            assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}"
        elif name == "WORKDIR":
            image.directory = text
            (debian.tree / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            _copy(text, debian.tree / image.directory.lstrip("/"), checkout, others)
        else:
            _note(image, name, text)
    return image


def _copy(text: str, into: Path, checkout: Path, others: dict[str, Path]) -> None:
    *sources, target = text.split()
    root = checkout
    if sources[0].startswith("--from="):
        root = others[sources.pop(0).removeprefix("--from=")]
    for source in sources:
        from_ = root / source.lstrip("/")
        to = into / target / (from_.name if target.endswith("/") else "")
        to.parent.mkdir(parents=True, exist_ok=True)
        if from_.is_dir():
            ignored = None if root != checkout else shutil.ignore_patterns(*_IGNORED)
            shutil.copytree(from_, to, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(from_, to)


def _note(image: Image, name: str, text: str) -> None:
    if name == "ENV":
        image.environment |= dict(pair.split("=", 1) for pair in shlex.split(text))
    elif name == "USER":
        image.user = text
    elif name == "VOLUME":
        image.volume = text
    elif name == "ENTRYPOINT":
        image.entry = json.loads(text)
    elif name == "CMD":
        image.command = json.loads(text)
    elif name == "HEALTHCHECK":
        image.health = json.loads(text.split("CMD ", 1)[1])
    elif name != "EXPOSE":
        raise ValueError(f"{name}: this builder does not know it")
