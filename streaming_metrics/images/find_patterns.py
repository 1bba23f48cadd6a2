"""Patterns of paths: ``runs/{a,b}/*.png``, ``shards-{000..012}.tar``, ``**``; what they match, sorted, each once."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from streaming_metrics.images.names import hidden_part, is_choice, why_hidden

BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST = 1_000_000
"""Paths that braces may stand for."""


class Matched(NamedTuple):
    """Paths that a pattern matches.

    Args:
        root: the folder that the pattern begins with, above its first wildcard.
        paths: below it, sorted.
        left_out: how many others are not counted, by reason.
    """

    root: Path
    paths: list[str]
    left_out: dict[str, int]


def is_pattern(text: str) -> bool:
    """Return whether a text has wildcards or braces.

    Example:
        >>> is_pattern("a/*.png"), is_pattern("a-{0..3}.tar:png"), is_pattern("a/b.png"), is_pattern("a/{b}.png")
        (True, True, False, False)
    """
    return glob.has_magic(text) or any("," in inner or RANGE.fullmatch(inner) for inner in BRACES.findall(text))


def split_choices(pattern: str) -> tuple[str, tuple[str, ...]]:
    """Return a pattern, and what stands behind its colons where that chooses among files.

    Example:
        >>> split_choices("shards-*.tar:cond.png"), split_choices("a:b/*.png")
        (('shards-*.tar', ('cond.png',)), ('a:b/*.png', ()))
    """
    choices: tuple[str, ...] = ()
    while True:
        rest, _, last = pattern.rpartition(":")
        if not rest or not is_choice(last) or glob.has_magic(last):
            return pattern, choices
        pattern, choices = rest, (last.lower(), *choices)


def expanded(text: str) -> list[str]:
    """Return what a text with braces stands for, as a shell takes it.

    Raises:
        ValueError: for more than a million paths.

    Example:
        >>> expanded("{a,b}/{08..10}.png")
        ['a/08.png', 'a/09.png', 'a/10.png', 'b/08.png', 'b/09.png', 'b/10.png']
    """
    done: list[str] = []
    waiting = [text]
    while waiting:
        if len(waiting) + len(done) > MOST:
            raise ValueError(f"{text}: expected braces for at most {MOST:,} paths, got more.")
        one = waiting.pop()
        match = next((m for m in BRACES.finditer(one) if _alternatives(m[1])), None)
        if match is None:
            done.append(one)
        else:
            each = reversed(_alternatives(match[1]))
            waiting += [one[: match.start()] + part + one[match.end() :] for part in each]
    return done


def matched(pattern: str) -> Matched:
    """Return what a pattern matches.

    Raises:
        FileNotFoundError: where it matches nothing, or one of the paths that its braces name is missing.
    """
    found: set[str] = set()
    left_out: Counter[str] = Counter()
    each = expanded(pattern)
    root = Path(os.path.commonpath([_folder_before_wildcards(one) for one in each]))
    for one in each:
        paths = glob.glob(one, recursive=True)  # noqa: PTH207, that of Path matches hidden files too
        if not paths and not glob.has_magic(one):
            raise FileNotFoundError(f"{pattern}: expected a file or folder for each, found nothing at {one}.")
        left_out["pattern that matches nothing (" + one + ")"] += not paths
        found.update(os.path.normpath(path) for path in paths)
    if not found:
        raise FileNotFoundError(f"{pattern}: expected paths that match, found none{_hint(root)}.")
    below = sorted(os.path.relpath(path, root) for path in found)
    left_out.update(why_hidden(path) for path in below if hidden_part(path) and (root / path).is_file())
    return Matched(root, [path for path in below if not hidden_part(path)], {k: n for k, n in left_out.items() if n})


def _alternatives(inner: str) -> list[str]:
    """Return what stands in braces; nothing where they are no more than braces."""
    numbers = RANGE.fullmatch(inner)
    if numbers is None:
        return inner.split(",") if "," in inner else []
    first, last = numbers.groups()
    width = max(len(first), len(last)) if "0" in (first[0], last[0]) and max(len(first), len(last)) > 1 else 0
    step = 1 if int(first) <= int(last) else -1
    if abs(int(last) - int(first)) >= MOST:
        raise ValueError(f"{{{inner}}}: expected braces for at most {MOST:,} paths, got more.")
    return [f"{number:0{width}}" for number in range(int(first), int(last) + step, step)]


def _folder_before_wildcards(path: str) -> str:
    """Return the folder that a path begins with, before its first wildcard."""
    place = next((place for place, letter in enumerate(path) if letter in "*?["), len(path))
    folder, slash, _ = path[:place].rpartition("/")
    return folder or slash or "."


def _hint(root: Path) -> str:
    if not root.is_dir():
        return f"; there is no folder {root}"
    names = sorted(path.name for path in root.iterdir())
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"; {root} holds {listed or 'nothing'}"
