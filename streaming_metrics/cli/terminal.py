"""What a terminal shows: a bar with images a second while images are read, and tables."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed / task.elapsed:.0f} images/s" if task.elapsed else "")


@contextmanager
def reading_bar(what: str, total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr while inside, and yield the function that moves it on by n images.

    Args:
        what: stands before the bar.
        total: images to come.
        shown: False shows nothing, for all ranks but one.

    Example:
        >>> with reading_bar("real", total=10, shown=False) as advance:
        ...     advance(10)
    """
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.update(task, advance=n)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; where stdout is no terminal, lines of cells between tabs."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            say("\t".join(map(str, row)))
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


def say(text: str, *, stderr: bool = False) -> None:
    """Print a line as it is."""
    print(text, file=sys.stderr if stderr else sys.stdout)
