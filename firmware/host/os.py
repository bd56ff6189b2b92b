"""MicroPython's own os, and the one function of it that boards alone have."""

from uos import *  # noqa: F403  # this is that module, with one thing more


def dupterm(_stream: object, _index: int = 0) -> None:
    """Lead the REPL elsewhere: on a PC it is not on the UART."""
