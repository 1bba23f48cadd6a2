"""Movement: small pictures of a value under rising corruption, one a corruption, as SVG in the page's own colours."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Cell = float | str | None
    """z towards worse; text where the images were refused; None where nothing that the value reads had changed."""

WIDTH, HEIGHT = 168, 112
LEFT, RIGHT, TOP, BOTTOM = 34, 160, 22, 92
DECADES = 3.0
"""Decades of ``1 + |z|`` at which the axis ends."""
LIMIT = 10**DECADES - 1
"""The greatest |z| that has its place on the axis."""
THRESHOLD = 3.0
"""From which |z| on a value has moved."""
TICKS = (-1000, -100, -10, 0, 10, 100, 1000)


def pictures(key: str, columns: Sequence[tuple[str, Sequence[str]]], cells: Sequence[Cell]) -> str:
    """Return a picture for each corruption of which a value reads anything, all to one scale, as one line of HTML.

    Args:
        key: of the value.
        columns: each corruption with its strengths; the first is none at all.
        cells: z for every strength of every corruption.

    Raises:
        ValueError: where there are not as many cells as strengths.
    """
    if len(cells) != (count := sum(len(strengths) for _, strengths in columns)):
        raise ValueError(f"{key}: expected {count} cells, got {len(cells)}. Remedy: write the data anew.")
    parts, start = [], 0
    for name, strengths in columns:
        parts.append((name, strengths, cells[start : start + len(strengths)]))
        start += len(strengths)
    (_, _, unchanged), *corrupted = parts
    lowest = -DECADES if any(isinstance(z, float | int) and z < -9 for z in cells) else -1.0
    drawn = (
        _picture(key, name, strengths, [*unchanged, *of], lowest)
        for name, strengths, of in corrupted
        if any(z is not None for z in of)
    )
    return f'<div class="movement">{"".join(drawn)}</div>'


def _picture(key: str, name: str, strengths: Sequence[str], cells: Sequence[Cell], lowest: float) -> str:
    said = ", ".join(f"{_said(z)} at {strength}" for strength, z in zip(strengths, cells[1:]))
    title, labels = _labels(name, strengths)
    xs = [LEFT + 14 + index * (RIGHT - LEFT - 28) / (len(cells) - 1) for index in range(len(cells))]
    inside = "".join([*_axes(lowest), *_line(xs, cells, lowest), *_dots(xs, cells, lowest)])
    under = "".join(_text(x, BOTTOM + 14, label, "middle") for x, label in zip(xs, ["0", *labels]))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{key} under {name}: z {said}")}">'
        f'<text class="name" x="{LEFT}" y="13">{escape(title)}</text>{inside}{under}</svg>'
    )


def _labels(name: str, strengths: Sequence[str]) -> tuple[str, list[str]]:
    """Return what a picture is called, and its strengths without the unit that they share.

    Example:
        >>> _labels("blur", ["0.5 px", "1 px"]), _labels("mode drop", ["1 of 10", "3 of 10"])
        (('blur, px', ['0.5', '1']), ('mode drop, of 10', ['1', '3']))
        >>> _labels("label shift", ["× 0.9", "× 0.75"])
        ('label shift', ['×0.9', '×0.75'])
    """
    units = {strength.partition(" ")[2] for strength in strengths if strength[0].isdigit()}
    if len(units) == 1 and (unit := units.pop()):
        return f"{name}, {unit}", [strength.partition(" ")[0] for strength in strengths]
    return name, [strength.replace(" ", "") for strength in strengths]


def height_of(z: float, lowest: float = -DECADES) -> float:
    """Return where a score is drawn: by the logarithm of ``1 + |z|``, towards worse upwards."""
    decades = math.copysign(math.log10(1 + abs(z)), z)
    share = (min(max(decades, lowest), DECADES) - lowest) / (DECADES - lowest)
    return round(BOTTOM - share * (BOTTOM - TOP), 1)


def _axes(lowest: float) -> Iterator[str]:
    """Yield the band of chance, and a mark for each power of ten."""
    upper, lower = height_of(THRESHOLD, lowest), height_of(-THRESHOLD, lowest)
    yield f'<rect class="chance" x="{LEFT}" y="{upper}" width="{RIGHT - LEFT}" height="{round(lower - upper, 1)}"/>'
    for z in (z for z in TICKS if z == 0 or math.copysign(math.log10(abs(z)), z) >= lowest):
        y = height_of(z, lowest)
        yield f'<path class="grid" d="M{LEFT} {y}H{RIGHT}"/>' + _text(LEFT - 4, y + 3, f"{z:g}", "end")


def _line(xs: Sequence[float], cells: Sequence[Cell], lowest: float) -> Iterator[str]:
    places = [f"{x:.1f} {height_of(z, lowest)}" for x, z in zip(xs, cells) if isinstance(z, float | int)]
    if len(places) > 1:
        yield f'<path class="line" d="M{"L".join(places)}"/>'


def _dots(xs: Sequence[float], cells: Sequence[Cell], lowest: float) -> Iterator[str]:
    for x, z in zip(xs, cells):
        if isinstance(z, float | int):
            kind = "worse" if z >= THRESHOLD else "better" if z <= -THRESHOLD else "calm"
            yield f'<path class="{kind}" d="{_mark(x, z, lowest)}"><title>{z:.3g}</title></path>'
        elif z is not None:
            yield _text(x, height_of(0, lowest) - 4, "?", "middle")


def _mark(x: float, z: float, lowest: float) -> str:
    """Return the path of a mark: a dot, or what points to where a value beyond the axis would be."""
    y = height_of(z, lowest)
    if abs(z) <= LIMIT:
        return f"M{x - 3.5:.1f} {y}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z"
    return f"M{x - 4.5:.1f} {y}h9l-4.5 {math.copysign(7, -z):g}z"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _said(z: Cell) -> str:
    return f"{z:.3g}" if isinstance(z, float | int) else "refused" if z else "unchanged"
