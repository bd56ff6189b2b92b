"""Brokers of others, as far ends of a bridge: nats-server, and aedes where Node.js is at hand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final, Self

from tests.parts.ports import accepts, free_port
from tests.parts.process import Process, find_program

USER: Final = "site1"
PASSWORD: Final = "password-of-site1"
#: Pinned: what is said of it in docs/bridge.md was seen with this one.
_AEDES: Final = ("aedes@1.2.0",)
_AEDES_PROGRAM: Final = """
import { Aedes } from "aedes";
import { createServer } from "node:net";
const broker = await Aedes.createBroker({
  authenticate: (client, user, password, done) => done(null, user === "%s" && String(password) === "%s"),
});
createServer(broker.handle).listen(%d, "127.0.0.1");
"""


class NatsServer:
    """On 127.0.0.1:`port`, with a login and JetStream, which its MQTT needs; usable as a context manager."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        configuration = directory / "nats.conf"
        configuration.write_text(
            f'server_name: far\nlisten: "127.0.0.1:{free_port()}"\n'
            f'jetstream {{ store_dir: "{directory}/store" }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.port}", ack_wait: "1s" }}\n'
            f'authorization {{ users: [ {{ user: {USER}, password: "{PASSWORD}" }} ] }}\n'
        )
        command = [find_program("nats-server", package="nats-server"), "-c", str(configuration)]
        self.process = Process(command, log=directory / "nats.log")

    def __enter__(self) -> Self:
        self.process.start()
        self.process.wait_until(lambda: accepts(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()


class Aedes:
    """On 127.0.0.1:`port`, with a login; made anew from npm. Usable as a context manager."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        (directory / "package.json").write_text(json.dumps({"type": "module", "private": True}))
        npm = find_program("npm", package="npm")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", *_AEDES]
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=120)
        (directory / "far.js").write_text(_AEDES_PROGRAM % (USER, PASSWORD, self.port))
        node = find_program("node", package="nodejs")
        self.process = Process([node, str(directory / "far.js")], log=directory / "aedes.log", directory=directory)

    def __enter__(self) -> Self:
        self.process.start()
        self.process.wait_until(lambda: accepts(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()
