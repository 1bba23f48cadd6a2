"""Pages of source: a file's own words, then its lines; and the list of the examples."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath

from site_links import REPOSITORY

EXAMPLES = """# Examples

Scripts that run as they are, each to the end in the tests; `--short` takes seconds.

| script | what it shows |
| --- | --- |
{rows}
"""


def examples() -> list[str]:
    """Return the paths of all examples."""
    return sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "examples").glob("*.py"))


def examples_page() -> str:
    """Return the list of examples, each with the first line of what it says of itself."""
    names = {path: PurePosixPath(path).name for path in examples()}
    rows = [f"| [`{name}`]({name}.md) | {_said_by(path)} |" for path, name in names.items()]
    return EXAMPLES.format(rows="\n".join(rows))


def page(path: str) -> str:
    """Return the page of a file of the repository, by its path there."""
    file = PurePosixPath(path)
    text = (REPOSITORY / path).read_text(encoding="utf-8").rstrip()
    language = file.suffix.removeprefix(".")
    return f"# {file.name}\n\n{_opening(path)}`{path}`:\n\n````{language}\n{text}\n````\n"


def _opening(path: str) -> str:
    return f"{_said_by(path)}\n\n" if path.endswith(".py") else ""


def _said_by(path: str) -> str:
    """Return the first line of what a script says of itself."""
    docstring = ast.get_docstring(ast.parse((REPOSITORY / path).read_text(encoding="utf-8")))
    return (docstring or "").partition("\n")[0]
