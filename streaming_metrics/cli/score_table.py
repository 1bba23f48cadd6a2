"""Score table: values with their errors, of one generated side or of several beside each other, the best in bold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.cli.terminal import say, show_cells, show_text, terminal_width
from streaming_metrics.measures.keys import parse_key
from streaming_metrics.report.side_rows import Row, error_of, rows_of
from streaming_metrics.verdicts.digits import rounded, with_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.cli.terminal import Cell


def show_one(scores: Mapping[str, float], *, better: bool = False) -> None:
    """Print the scores of one side, each with its error, its 95 % interval, and what that is an interval of."""
    errors = {key: found for key in scores if (found := error_of(key, scores))}
    shown, is_terminal = [key for key in scores if key not in errors.values()], terminal_width() is not None
    names = _short(shown) if is_terminal else dict(zip(shown, shown))
    about = {key: parse_key(error).scalar.about for key, error in errors.items()}
    rows = []
    for key in shown:
        error = scores[errors[key]] if key in errors else None
        row = [names[key], with_error(scores[key], error), _interval(key, scores[key], error)]
        row += [] if is_terminal else [about.get(key, "")]
        rows.append([*row, parse_key(key).scalar.better or ""] if better else row)
    of = () if is_terminal else ("of",)
    show_cells(("measure", "value", "95 % interval", *of, *(("better",) if better else ())), rows)
    if is_terminal:
        show_text(f"{names[key]}: interval of {what}" for key, what in about.items())


def show_sides(sides: Mapping[str, Mapping[str, float]], *, by_rows: bool = False) -> None:
    """Print the scores of several sides beside each other: a column of each, or a row, as there is room.

    Where stdout is no terminal, lines of cells between tabs, a column of each side, and the best one's name.

    Args:
        sides: scores by key, of each by name.
        by_rows: a row of each side, where there may be many.
    """
    rows, names = rows_of(sides), list(sides)
    width = terminal_width()
    if by_rows:
        _show_rows(rows, names, is_terminal=width is not None)
        return
    if width is None:
        for cells in [("measure", *names, "best"), *((row.key, *row.told, _winners(row, names)) for row in rows)]:
            say("\t".join(cells))
        return
    for headings, table in _fitting(rows, names, width):
        show_cells(headings, table)


def _show_rows(rows: Sequence[Row], names: Sequence[str], *, is_terminal: bool) -> None:
    """Print a row of each side, the best of each score in bold; where stdout is no terminal, in a row of their own."""
    keys = [row.key for row in rows]
    told: list[list[Cell]] = [[name, *((row.told[i], row.best[i]) for row in rows)] for i, name in enumerate(names)]
    if is_terminal:
        show_cells(["", *(_short(keys)[key] for key in keys)], told)
        return
    lines = [[name, *(row.told[i] for row in rows)] for i, name in enumerate(names)]
    for cells in [["checkpoint", *keys], *lines, ["best", *(_winners(row, names) for row in rows)]]:
        say("\t".join(cells))


def _winners(row: Row, names: Sequence[str]) -> str:
    return ", ".join(name for name, best in zip(names, row.best) if best)


def _fitting(rows: Sequence[Row], names: Sequence[str], width: int) -> list[tuple[list[str], list[list[Cell]]]]:
    """Return tables no wider than a terminal: one with a column of each side, else one with a row of each, else several
    of as many sides as there is room for.
    """
    from streaming_metrics.report.charts import elided

    short = _short([row.key for row in rows])
    keys, sides = [short[row.key] for row in rows], [elided(name) for name in names]
    cells: list[list[Cell]] = [[*zip(row.told, row.best)] for row in rows]
    upright = (["measure", *sides], [[key, *of] for key, of in zip(keys, cells)])
    flat = (["", *keys], [[side, *of] for side, of in zip(sides, map(list, zip(*cells)))])
    for table in (upright, flat):
        if _width(*table) <= width:
            return [table]
    return _parts(upright, width)


def _short(keys: Sequence[str]) -> dict[str, str]:
    from streaming_metrics.report.charts import short_names

    return short_names(keys)


def _parts(table: tuple[list[str], list[list[Cell]]], width: int) -> list[tuple[list[str], list[list[Cell]]]]:
    """Return a table in parts of as many columns as there is room for, the first one in each."""
    headings, rows = table
    parts, start = [], 1
    while start < len(headings):
        end = start + 1
        while end < len(headings) and _width(*_columns(headings, rows, start, end + 1)) <= width:
            end += 1
        parts.append(_columns(headings, rows, start, end))
        start = end
    return parts


def _columns(headings: list[str], rows: list[list[Cell]], start: int, end: int) -> tuple[list[str], list[list[Cell]]]:
    return [headings[0], *headings[start:end]], [[row[0], *row[start:end]] for row in rows]


def _width(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> int:
    columns = zip(headings, *([cell if isinstance(cell, str) else cell[0] for cell in row] for row in rows))
    return sum(max(map(len, column)) + 2 for column in columns) - 2


def _interval(key: str, value: float, error: float | None) -> str:
    if error is None:
        return ""
    low, high = parse_key(key).scalar.interval(value, error)
    return f"{rounded(low, error)} to {rounded(high, error)}"
