"""Terminal output: a bar with images a second while images are read, and tables; plain lines in a log."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from io import TextIOWrapper
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence


Cell: TypeAlias = "str | tuple[str, bool]"
"""What stands in a table, and whether it is bold."""
LINE_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


def lenient_streams() -> None:
    """Let stdout and stderr write what their encoding lacks as an escape, rather than raise an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed / task.elapsed:.0f} images/s" if task.elapsed else "")


@contextmanager
def reading_bar(what: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while inside, plain lines where that is no terminal; yield what moves it on by n images.

    Args:
        what: stands before the bar.
        total: images to come.
        shown: False shows nothing, for all ranks but one.

    Example:
        >>> with reading_bar("real", total=10, shown=False) as advance:
        ...     advance(10)
    """
    if not shown:  # rich 13 and 14 end a disabled bar in an empty line
        yield lambda _: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what, total)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.update(task, advance=n)


class _Lines:
    """Progress in lines: how far it is, said every few seconds and at the end."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.start = self.last = monotonic()

    def __call__(self, n: int) -> None:
        self.done, now = min(self.total, self.done + n), monotonic()
        if self.done == self.total or now - self.last >= LINE_EVERY:
            self.last = now
            rate = f", {self.done / (now - self.start):.0f} images/s" if now > self.start else ""
            say(f"{self.what}: {self.done:,} of {self.total:,} images{rate}", stderr=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, headed: bool = False) -> None:
    """Print a table; where stdout is no terminal, lines of cells between tabs.

    Args:
        columns: their headings.
        rows: of cells.
        headed: print the headings where stdout is no terminal, too: of one table among several.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in [columns, *rows] if headed else rows:
            say("\t".join(map(str, row)))
        return
    table = Table(*(Column(column, overflow="fold") for column in columns), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


def show_cells(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table some of whose cells are bold; where stdout is no terminal, lines of cells between tabs."""
    console = Console(highlight=False)
    if not console.is_terminal:
        show_table(headings, [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in rows])
        return
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, no_wrap=place + 1 < len(headings))
    for row in rows:
        table.add_row(
            *(Text(cell) if isinstance(cell, str) else Text(cell[0], "bold" if cell[1] else "") for cell in row)
        )
    console.print(table)


def terminal_width() -> int | None:
    """Return how many characters a line of the terminal has; None where stdout is none."""
    console = Console()
    return console.width if console.is_terminal else None


def is_terminal() -> bool:
    """Return whether stdout is read by a person."""
    return Console().is_terminal


def show_groups(headings: Sequence[str], ratios: Sequence[int], groups: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Print tables below one another, as wide as the terminal, their columns in line.

    Args:
        headings: of the columns.
        ratios: how columns share the room; 0 for one that takes what its longest cell needs.
        groups: rows of each table, by what it is called.
    """
    console, rows = Console(highlight=False), [headings, *(row for of in groups.values() for row in of)]
    longest = [max(len(row[place]) for row in rows) for place in range(len(headings))]
    widths = [None if ratio else width for ratio, width in zip(ratios, longest)]
    console.print(_aligned(widths, ratios, [headings]))
    for name, of in groups.items():
        console.print(Text(f"\n{name.capitalize()}", style="bold"))
        console.print(_aligned(widths, ratios, of))


def _aligned(widths: Sequence[int | None], ratios: Sequence[int], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, expand=True)
    for width, ratio in zip(widths, ratios):
        table.add_column(width=width, ratio=ratio or None, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def show_text(lines: Iterable[str]) -> None:
    """Print lines, broken at words to the width of a terminal, else as they are."""
    console = Console(highlight=False)
    for line in lines:
        console.print(Text(line), soft_wrap=not console.is_terminal)


def say(text: str, *, stderr: bool = False) -> None:
    """Print a line as it is; end the program where who reads stdout has gone, as ``head`` does, without a word."""
    if stderr:
        print(text, file=sys.stderr)
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:  # stdout's buffer still holds the line, and would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
