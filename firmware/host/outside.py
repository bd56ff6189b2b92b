"""The directory that stands for what is around a board, and the lines that tell of what the board does to it."""

import os

MARK = "\x10"
_PLACE = os.getenv("BOARD") or "."


def path(name: str) -> str:
    """Where something of this board's outside stands."""
    return _PLACE + "/" + name


def read(name: str) -> "str | None":
    """What stands there, None if nothing does."""
    try:
        with open(path(name)) as file:
            return file.read()
    except OSError:
        return None


def tell(*words: object) -> None:
    """Tell what happens to the outside; the line is written at once."""
    print(MARK + " ".join([str(word) for word in words]))
