"""Start of the command line: Ctrl-C while PyTorch is imported, which takes seconds, ends it without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

INTERRUPTED = 130
COMMAND, PACKAGE = "streaming-metrics", "streaming_metrics"


def is_command(started: list[str]) -> bool:
    """Return whether a process was started as the command line, by its name or as ``python -m streaming_metrics``.

    Example:
        >>> is_command(["python", "/usr/bin/streaming-metrics", "show"]), is_command(["python", "-m", "pytest"])
        (True, False)
    """
    by_name = any(Path(argument).stem == COMMAND for argument in started[:2])
    return by_name or any(pair == ("-m", PACKAGE) for pair in pairwise(started))


def quit_on_interrupt() -> None:
    """Exit with 130, without a traceback, at Ctrl-C, where this is the command line and nothing else takes it."""
    if is_command(sys.orig_argv) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _quit)


def allow_interrupts() -> None:
    """Let Ctrl-C be an exception again, once there is something to clean up."""
    if signal.getsignal(signal.SIGINT) is _quit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _quit(*_: object) -> None:
    os._exit(INTERRUPTED)


quit_on_interrupt()
