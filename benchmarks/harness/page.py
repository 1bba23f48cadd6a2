"""Parts of a page of Markdown that a script writes, between two comments that name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_part(page: Path, name: str, text: str) -> None:
    """Put a text between the comments ``<!-- name -->`` and ``<!-- end of name -->`` of a page."""
    opening, closing = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text().partition(opening)
    _, ended, after = rest.partition(closing)
    if not found or not ended:
        raise ValueError(f"{page}: expected {opening} … {closing}, got a page without. Remedy: add the two lines.")
    page.write_text(f"{before}{opening}\n\n{text}\n\n{closing}{after}")
