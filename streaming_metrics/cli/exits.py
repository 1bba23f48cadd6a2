"""Exit codes of the command line: what an error makes of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from streaming_metrics.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def exit_codes() -> Iterator[None]:
    """Say a documented error in one line, and exit with its code."""
    try:
        yield
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        say(f"streaming-metrics: {error}", stderr=True)
        raise typer.Exit(_exit_code(error)) from error


def _exit_code(error: Exception) -> int:
    if not isinstance(error, RuntimeError):  # the two below are, and PyTorch is imported to tell them
        return 3
    from streaming_metrics.distributed.comm import MissingRanks
    from streaming_metrics.measures.base import NotEnoughSamples

    return 4 if isinstance(error, NotEnoughSamples) else 5 if isinstance(error, MissingRanks) else 3
