"""Running of a command: its ranks, its exit codes, and the notes that it tells."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from streaming_metrics.cli.exits import exit_codes
from streaming_metrics.cli.outputs import check_writable
from streaming_metrics.cli.terminal import say
from streaming_metrics.startup import allow_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from streaming_metrics.distributed.comm import Comm

TIMEOUT = 1800.0
"""Seconds that ranks wait for each other: one may decode images far longer than another."""


@contextmanager
def running(*outputs: Path | None) -> Iterator[Comm]:
    """Yield the ranks; exit as :func:`exit_codes` does, before the work where that can be."""
    with exit_codes():
        for path in outputs:
            check_writable(path)
        from streaming_metrics.distributed.comm import launched

        allow_interrupts()
        with launched(TIMEOUT) as comm:
            yield comm


def teller(quiet: bool) -> Callable[[str], None]:
    """Return what says a note on stderr, each once however often it is told; or what says nothing."""
    told: set[str] = set()

    def tell(note: str) -> None:
        if not quiet and note not in told:
            told.add(note)
            say(f"note: {note}", stderr=True)

    return tell


def tell_all(notes: Iterable[str], tell: Callable[[str], None]) -> None:
    """Tell each of the notes."""
    for note in notes:
        tell(note)
