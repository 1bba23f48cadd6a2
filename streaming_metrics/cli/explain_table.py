"""Explain table: what the doctor says, in a terminal: protocols, a waterfall in bars, a claim, checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.terminal import say, show_table, show_text, terminal_width
from streaming_metrics.report.explanation_words import claim_cells, digits, score_in_words, share_in_words, signed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Told = Mapping[str, Any]

WIDTH = 32
"""Characters of a bar's scale."""
NARROW = 100
"""Characters of a terminal below which tables leave out bars, and what is alike in all rows."""
FULL = "█"
MARKS = {"fault": "✗ FAULT", "fine": "✓ fine", "cannot tell": "? cannot tell"}


def show_explanation(found: Told) -> None:
    """Print what the doctor says."""
    counts = {side: found[side]["num_samples"] for side in ("real", "fake")}
    told = (
        f"{found['measure']} by {found['extractor']}: {counts['fake']:,} generated images, {counts['real']:,} real ones"
    )
    show_text([told, score_in_words(found)])
    say("")
    _show_protocols(found)
    _show_waterfall(found["waterfall"])
    if found["claim"] is not None:
        _show_claim(found["claim"])
    say("")
    checks = sorted(found["checks"], key=lambda one: [*MARKS].index(one["verdict"]))
    show_text(line for one in checks for line in _check(one))
    show_text(f"note: {note}" for note in [*found["notes"], *found["warnings"]])


def _is_narrow() -> bool:
    return (terminal_width() or NARROW) < NARROW


def _show_protocols(found: Told) -> None:
    headings = ("protocol", found["measure"], "of", "resize", "8 bits", "precision", "reference", "scatter /")
    rows = [_protocol(one) for one in found["protocols"]]
    alike = [place for place in range(2, len(headings)) if _is_narrow() and len({row[place] for row in rows}) == 1]
    kept = [place for place in range(len(headings)) if place not in alike]
    show_table([headings[place] for place in kept], [[row[place] for place in kept] for row in rows], headed=True)
    if alike:
        show_text(["in all: " + ", ".join(f"{headings[place]} {rows[0][place]}" for place in alike)])


def _protocol(one: Told) -> tuple[str, ...]:
    divisor = "N − 1" if one["ddof"] else "N"
    cells = (f"{one['num_samples']:,}", one["resize"] or "own", one["quantisation"], one["precision"], one["reference"])
    return one["name"], digits(one["value"]), *cells, divisor


def _show_waterfall(found: Told) -> None:
    say("")
    if not found["steps"]:
        say(f"{found['first']} and {found['last']} are one here: {digits(found['start'])}")
        return
    rows = [(found["first"], digits(found["start"]), "", bar(0.0, found["start"], _most(found)))]
    before = found["start"]
    for step in found["steps"]:
        share = share_in_words(step["share"])
        name = f"{step['factor']}: {step['before']} → {step['after']}"
        rows.append((name, signed(step["change"]), share, bar(before, step["value"], _most(found))))
        before = step["value"]
    rows.append((found["last"], digits(found["end"]), "", bar(0.0, found["end"], _most(found))))
    shown = 3 if _is_narrow() else 4
    headings = ("from one protocol to another", "", "share", "")
    show_table(headings[:shown], [row[:shown] for row in rows], headed=True)


def _most(found: Told) -> float:
    return max(found["start"], found["end"], *(step["value"] for step in found["steps"]))


def bar(start: float, end: float, most: float) -> str:
    """Return a bar between two values of a scale from 0 to the most, at least one character of it.

    Example:
        >>> bar(0, 8, most=8) == "█" * 32, bar(4, 6, most=8).count(" "), bar(4, 6, most=8).count("█")
        (True, 16, 8)
    """
    places = sorted(round(WIDTH * value / most) if most else 0 for value in (start, end))
    first = min(places[0], WIDTH - 1)
    return " " * first + FULL * max(1, places[1] - first)


def _show_claim(rows: Sequence[Told]) -> None:
    say("")
    show_table(("nearest to the claim", "", "off", "off, share"), claim_cells(rows), headed=True)


def _check(one: Told) -> list[str]:
    lines = [f"{MARKS[one['verdict']]}: {one['name']}: {one['sentence']}"]
    return [*lines, f"  Remedy: {one['remedy']}"] if one["remedy"] else lines
