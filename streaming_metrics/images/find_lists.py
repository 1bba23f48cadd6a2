"""Sources of many paths: a file that lists them, one a line, or a pattern that matches them."""

from __future__ import annotations

import os
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.images.archives import Folder
from streaming_metrics.images.base import Images, Joined
from streaming_metrics.images.find_patterns import is_pattern, matched, split_choices
from streaming_metrics.images.names import EXTENSIONS, is_archive, sift, told, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming_metrics.files.reference import Reference

LIST = ".txt"
MARK = "@"
ADDRESS = "://"
TOLD = 5


class Listed(Folder):
    """Image files in the order in which they are listed.

    Args:
        root: the folder above all of them.
        names: of the images, below it.
        left_out: how many paths are not counted, by reason.
    """

    def __init__(self, root: str | Path, names: Sequence[str], left_out: Mapping[str, int]) -> None:
        super().__init__(root, names, left_out)
        self.names = list(names)

    def recipe(self) -> str:
        return f"{super().recipe()} in the order listed"


def many_at(text: str, find: Callable[[str], Images | Reference]) -> Images | None:
    """Return the images of all the paths that a text stands for; None where it is one path.

    Args:
        text: ``list.txt`` or ``@list`` for the paths in a file; or a pattern. A colon and a choice may stand behind it.
        find: returns the source at one of the paths.

    Raises:
        FileNotFoundError: where a path is missing, or nothing matches.
        ValueError: where the list does not read, or images and archives are mixed.
    """
    path, choices = split_choices(text)
    file = Path(path[1:] if path.startswith(MARK) and not Path(path).exists() else path)
    if file.is_file() and (path.startswith(MARK) or file.suffix.lower() == LIST):
        return _of_list(file, choices, find)
    if is_pattern(path) and not file.exists() and ADDRESS not in path:
        return _of_pattern(path, choices, find)
    if path.startswith(MARK) and not Path(path).exists():
        raise FileNotFoundError(f"{path}: expected a list of paths, one a line, found no file {file}.")
    return None


def _of_list(file: Path, choices: tuple[str, ...], find: Callable[[str], Images | Reference]) -> Images:
    """Return the images at the paths in a file, in its order."""
    each = _lines(file)
    missing = [f"line {number}: {line}" for number, line, path in each if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"{file}: expected a path a line, found nothing at {_listed(missing)}. Remedy: paths that are absolute, or "
            "below the folder of the list; # before a comment."
        )
    once = list(dict.fromkeys(os.path.normpath(path.absolute()) for _, _, path in each))
    again = len(each) - len(once)
    left_out = Counter({"listed again": again} if again else {})
    root = _above(once, file)
    parts: list[Images] = []
    for are_images, group in groupby(once, key=_is_image):
        paths = list(group)
        if are_images:
            below, others = _taken([os.path.relpath(path, root) for path in paths], _one(choices, file))
            left_out.update(others)
            parts += [Listed(root, below, {})] if below else []
        else:
            parts += [_source(path, choices, find, of=str(file)) for path in paths]
    if not parts:
        raise ValueError(f"{file}: expected images, found none ({told(left_out)}).")
    return _together(parts, left_out)


def _taken(names: list[str], only: str | None) -> tuple[list[str], Mapping[str, int]]:
    """Return the images among listed ones, which are all but those of another ending than the one chosen."""
    return (names, {}) if only is None else sift(names, only)


def _lines(file: Path) -> list[tuple[int, str, Path]]:
    """Return number, text and path of each line that is one; raise ValueError where there are none, or no text."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: expected a list of paths as UTF-8 text, got other bytes: {error}.") from error
    known = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    each = [(number, line, file.parent / line) for number, line in known if line and not line.startswith("#")]
    if not each:
        raise ValueError(f"{file}: expected a path a line, found none in {len(lines)} lines.")
    return each


def _of_pattern(pattern: str, choices: tuple[str, ...], find: Callable[[str], Images | Reference]) -> Images:
    """Return the images that a pattern matches; the sources that it matches, where they are archives or folders."""
    root, paths, left_out = matched(pattern)
    files = [path for path in paths if (root / path).is_file()]
    archives = [path for path in files if is_archive(path)]
    apart = [path for path in files if not is_archive(path)]
    images, others = sift(apart, _one(choices, pattern) if not archives else None)
    if images and archives:
        raise ValueError(
            f"{pattern}: expected images or archives of them, got both: {len(images)} images ({images[0]}) and "
            f"{len(archives)} archives ({archives[0]}). Remedy: an ending in the pattern, *{Path(images[0]).suffix} or "
            f"*{Path(archives[0]).suffix}."
        )
    folders = 0 if "**" in pattern else len(paths) - len(files)
    left_out = left_out | ({"folders beside the files": folders} if files and folders else {})
    if images or (not archives and any(why_not(path) is not None for path in files)):
        return Folder(root, images, {**left_out, **others})
    left_out = {**left_out, **others} if archives else left_out
    found = archives or files or paths
    return _together([_source(str(root / path), choices, find, of=pattern) for path in found], left_out)


def _source(path: str, choices: tuple[str, ...], find: Callable[[str], Images | Reference], of: str) -> Images:
    if Path(path).suffix.lower() == LIST:
        raise ValueError(f"{of}: expected images, archives or folders, got another list, {path}.")
    source = find(":".join((path, *choices)))
    if not isinstance(source, Images):
        raise ValueError(f"{of}: expected images, got a saved reference, {path}. Remedy: give it alone.")
    return source


def _together(parts: Sequence[Images], left_out: Mapping[str, int]) -> Images:
    whole = parts[0] if len(parts) == 1 else Joined(parts)
    whole.left_out = dict(Counter(whole.left_out) + Counter(left_out))
    return whole


def _above(paths: Sequence[str], file: Path) -> str:
    """Return the folder above all images among absolute paths; from here where the list is named from here."""
    root = os.path.commonpath([Path(path).parent for path in paths if _is_image(path)] or [Path.cwd()])
    return root if file.is_absolute() else os.path.relpath(root)


def _is_image(path: str) -> bool:
    return Path(path).suffix.lower() in EXTENSIONS and Path(path).is_file()


def _one(choices: tuple[str, ...], of: str | Path) -> str | None:
    if len(choices) > 1:
        raise ValueError(f"{of}: expected one ending of images behind the colon, got {', '.join(choices)}.")
    return choices[0] if choices else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:TOLD]) + (f" and {len(names) - TOLD} more" if len(names) > TOLD else "")
