"""Goes on with a deletion and is killed: arguments are database, how many portions are counted before, and the moment.

The moment is `before` or `after` the commit of the portion that was counted last.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Any

from sqlalchemy import Engine, event

from db import account, removal
from db.engine import create, writing
from tests.db.conftest import NOW


def main() -> None:
    url, portions, moment = sys.argv[1:]
    left = int(portions)
    whole = account.count_removed

    def count(*arguments: Any) -> None:
        nonlocal left
        whole(*arguments)
        left -= 1

    def die(*_: Any) -> None:
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(account, "count_removed", count)  # noqa: B010  # mypy lets no function be replaced in plain words
    if moment == "before":
        event.listen(Engine, "commit", die)
    engine = create(url)
    for _ in removal.work(engine, partial(writing, engine), "w", NOW):
        die()


if __name__ == "__main__":
    main()
