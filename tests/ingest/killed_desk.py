"""Takes one reading as from HTTP and is killed after its commit, before its answer: arguments are database, payload."""

from __future__ import annotations

import os
import signal
import sys

from tests.ingest.http_desk import Desk


def main() -> None:
    desk = Desk(sys.argv[1])
    desk.start()
    desk.open()
    answer = desk.send(sys.argv[2].encode())

    def die(_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    vars(answer)["set_result"] = die
    answer.result(20)
    print("answered", flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
