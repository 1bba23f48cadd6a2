"""Links of pages: paths in the repository, which a code host follows, turned into paths on the site."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
DOCS = "docs/"
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "results.md",
    "benchmarks/RESULTS-GPU.md": "results-gpu.md",
}
"""Pages of the site that are pages of the repository outside of ``docs/``, by their paths there."""
STAND_INS = {"README.md": "index.md", "CITATION.cff": "papers.md", "examples": "examples/index.md"}
"""Pages of the site that say what these files and folders say."""
PICTURES = (".gif", ".jpg", ".png", ".svg", ".webp")
FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<path>[^()\s#:]+)(?P<anchor>#[^()\s]*)?\)")


def home_of(uri: str) -> str | None:
    """Return where in the repository a page of the site is; None where it is made of other files."""
    homes = {place: path for path, place in PAGES.items()}
    written = (REPOSITORY / DOCS / uri).is_file()
    return f"{DOCS}{uri}" if written else homes.get(uri)


def place_of(path: str) -> str | None:
    """Return where on the site a file of the repository is: a picture as it is, any other text as a page of its lines.

    Example:
        >>> place_of("docs/numbers.md"), place_of("benchmarks/RESULTS.md"), place_of("examples/fabric.py")
        ('numbers.md', 'results.md', 'examples/fabric.py.md')
        >>> place_of("docs/no_such_page.md"), place_of("../elsewhere.md")
        (None, None)
    """
    if path in PAGES or path in STAND_INS:
        return (PAGES | STAND_INS)[path]
    if path.startswith("..") or not (REPOSITORY / path).is_file():
        return None
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return path if path.endswith(PICTURES) else f"{path}.md"


def linked_from(text: str, home: str) -> Iterator[str]:
    """Yield the files of the repository that a page links to, by their paths; ``home`` is the page's own."""
    for index, part in enumerate(FENCED.split(text)):
        for found in LINK.finditer(part) if index % 2 == 0 else ():
            path = _target(found, home)
            if place_of(path) is not None:
                yield path


def led_on_site(text: str, home: str, uri: str) -> str:
    """Return the text of a page with links as the site has them; those that lead nowhere stay, and MkDocs names them.

    Args:
        text: Markdown.
        home: where the page is in the repository.
        uri: where it is on the site.
    """

    def moved(found: re.Match[str]) -> str:
        place = place_of(_target(found, home))
        return found[0] if place is None else f"]({relpath(place, dirname(uri) or '.')}{found['anchor'] or ''})"

    return in_prose(text, lambda prose: LINK.sub(moved, prose))


def in_prose(text: str, change: Callable[[str], str]) -> str:
    """Return a text changed but for its fenced blocks."""
    return "".join(part if index % 2 else change(part) for index, part in enumerate(FENCED.split(text)))


def _target(found: re.Match[str], home: str) -> str:
    return normpath(join(dirname(home), found["path"]))
