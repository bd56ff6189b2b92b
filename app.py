"""The front door: one server for pages, API and worker.

`make run` is `python app.py`, which takes address and port from the settings; `streamlit run app.py` takes them from
`.streamlit/config.toml` or its own flags.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import streamlit
import streamlit.config
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from streamlit.starlette import App

import runtime
import settings as settings_module
from api import api, headers, origins, serving
from ingest.supervisor import Supervisor, supervised

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def lifespan(_app: App) -> AsyncIterator[None]:
    """The worker starts with the server, before any visitor, and ends with it."""
    try:
        runtime.get_runtime()
    except runtime.StartError as error:
        # An exception here would be shown as a traceback. Nothing was started, so nothing is left to end.
        log.critical("%s", error)
        os._exit(1)
    serving.send_at_once()
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancelled_request)
    atexit.register(runtime.get_runtime.clear)  # the server skips what follows if a client kept it waiting
    try:
        async with supervised(Supervisor.of(os.environ), lambda: runtime.get_runtime().health()):
            with serving.announced_stop(asyncio.get_running_loop()):
                yield
    except asyncio.CancelledError:
        # The server ends without waiting for a client that would not leave, and cancels this instead of asking it to
        # end. Nothing follows that a cancellation should stop; let through, it would be shown as a traceback.
        log.info("A client did not leave in time; the server ends without it.")
    finally:
        runtime.get_runtime.clear()


def _is_no_cancelled_request(record: logging.LogRecord) -> bool:
    """A request that the ending server gave up is no fault of the application; its traceback tells nobody anything."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def check() -> settings_module.Settings:
    """Settings that are right, or the end of the process with a line for each that is not."""
    try:
        settings = settings_module.load()
    except settings_module.SettingsError as error:
        sys.exit(str(error))
    settings_module.begin_logging(settings.log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # By this, and by this alone, the server decides whose X-Forwarded-For and X-Forwarded-Proto it believes, for pages
    # and API alike. Left out it believes everybody on this machine.
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(
        str(ip_network(network, strict=False)) for network in settings.trusted_proxies
    )
    return settings


def main() -> None:
    """Serve until Ctrl-C or SIGTERM; exit status 0 if the end was asked for."""
    _check_port(settings.host, settings.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn ends in order and then raises the signal again, which must not kill us at the last moment
        signal.signal(number, lambda *_: None)
    try:
        runtime.get_runtime()
    except (runtime.StartError, runtime.SettingsError) as error:
        sys.exit(str(error))
    app.run(config={"server.address": settings.host, "server.port": settings.port, _BASE: settings.base_path})


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sys.exit(f"{host}:{port} can't be used: {error.strerror}. Choose another port: make run PORT={port + 1}")


def _to_first_page(_request: Request) -> RedirectResponse:
    """Streamlit keeps its first page at `/` alone, and people type the name that the side bar shows."""
    return RedirectResponse("./")


#: The frame of every page.
_INDEX = Path(streamlit.__file__).parent / "static" / "index.html"
#: Streamlit's own setting for the path under which its pages stand; what is ours it leaves to us.
_BASE: Final = "server.baseUrlPath"

settings: Final = check()
app = App(
    "pages/navigation.py",
    lifespan=lifespan,
    routes=[Mount(f"{settings.base_path}/api", api), Route(f"{settings.base_path}/live", _to_first_page)],
    middleware=[
        Middleware(headers.SecurityHeaders, headers=headers.for_pages(_INDEX.read_text(encoding="utf-8"))),
        Middleware(origins.OwnSockets),
    ],
)

if __name__ == "__main__":
    main()
elif settings.base_path:
    streamlit.config.set_option(_BASE, settings.base_path)
