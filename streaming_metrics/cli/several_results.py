"""Results of several generated sides against one real side, in one file; and of files of one, read alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.results import Origin, Result
from streaming_metrics.files.atomic import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIND = "streaming-metrics scores of several sides 1"
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".npz", ".safetensors", ".json")


@dataclass(frozen=True)
class SeveralResults:
    """Results of several generated sides, of the same real side.

    Args:
        sides: the result of each, by name.
        comparisons: of pairs of them, key by key, as :func:`~streaming_metrics.cli.contests.plain` tells them.
        left_out: sides that could not be scored, and why.
    """

    sides: Mapping[str, Result]
    comparisons: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return them as a JSON object, which says of the real side once."""
        plain = {name: result.plain() for name, result in self.sides.items()}
        real = [one.pop("real") for one in plain.values()]
        told = {"kind": KIND, "real": real[0], "sides": plain, "comparisons": [*self.comparisons]}
        told |= {"left_out": {**self.left_out}} if self.left_out else {}
        return json.dumps(told, indent=2, allow_nan=False)

    def save(self, path: str | Path) -> None:
        """Write them as JSON, whole or not at all."""
        with atomic_write(path) as partial:
            partial.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> SeveralResults:
        """Read what :meth:`save` wrote, or :meth:`Result.save`, whose one side is named as the file.

        Raises:
            ValueError: where it is no such file.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
            if json.loads(text).get("kind") == KIND:
                return cls.of_text(text)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: expected a file of scores, got one that does not read: {error!r}.") from error
        return cls({name_of(str(path)): Result.load(path)})

    @classmethod
    def of_text(cls, text: str) -> SeveralResults:
        """Read what :meth:`to_json` returned; raise ValueError, KeyError or TypeError for anything else."""
        read = json.loads(text)
        if read["kind"] != KIND:
            raise ValueError(f"expected {KIND!r}, got {read['kind']!r}")
        _ = Origin(**read["real"])
        sides = {str(name): Result.of_plain({**one, "real": read["real"]}) for name, one in read["sides"].items()}
        comparisons = read["comparisons"]
        if not sides or not isinstance(comparisons, list) or not all(isinstance(one, dict) for one in comparisons):
            raise TypeError("no sides, or no comparisons")
        return cls(sides, tuple(comparisons), {str(name): str(why) for name, why in read.get("left_out", {}).items()})


def is_scores(text: str) -> bool:
    """Return whether a text names a file of scores, or one side of it: ``scores.json``, ``scores.json:ours``."""
    return split_side(text)[0].endswith(".json")


def split_side(text: str) -> tuple[str, str | None]:
    """Return the file that a text names, and the side of it behind a colon; None for all."""
    file, colon, side = text.rpartition(":")
    return (file, side) if colon and file.endswith(".json") and not Path(text).exists() else (text, None)


def load_sides(text: str) -> dict[str, Result]:
    """Return the results in a file by the names of their sides, or the one behind a colon.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it is none of scores, or has no such side.
    """
    file, side = split_side(text)
    sides = dict(SeveralResults.load(file).sides)
    if side is not None and side not in sides:
        raise ValueError(f"{text}: expected a side of {file}, one of {', '.join(sides)}, got {side!r}.")
    return sides if side is None else {side: sides[side]}


def load_all(texts: Sequence[str]) -> dict[str, Result]:
    """Return the results in several files by names that tell all of their sides apart."""
    files = {name: load_sides(text) for name, text in zip(names_of(texts), texts)}
    found = [
        (name if len(sides) == 1 else f"{name}: {side}", result)
        for name, sides in files.items()
        for side, result in sides.items()
    ]
    return dict(next(iter(files.values()))) if len(files) == 1 else dict(found)


def load_one(text: str) -> Result:
    """Return the result in a file of one side, or of the side behind a colon; raise ValueError where it has several."""
    sides = load_sides(text)
    if len(sides) > 1:
        first = next(iter(sides))
        raise ValueError(
            f"{text}: expected scores of one side, got those of {', '.join(sides)}. Remedy: {text}:{first}."
        )
    return next(iter(sides.values()))


def name_of(source: str) -> str:
    """Return what a source is called in a table: its path's last part, without the ending of a file.

    Example:
        >>> name_of("runs/epoch-1.5/"), name_of("runs/ours.tar.gz"), name_of("package.module:dataset")
        ('epoch-1.5', 'ours', 'package.module:dataset')
    """
    name = Path(source).name or source
    file, colon, side = name.rpartition(".json:")
    if colon:
        return f"{file}: {side}"
    ending = next((ending for ending in sorted(ENDINGS, key=len, reverse=True) if name.endswith(ending)), "")
    return name.removesuffix(ending) or name


def names_of(sources: Sequence[str]) -> list[str]:
    """Return a name of each source, told apart by as much of their paths as it takes, else by numbers.

    Example:
        >>> names_of(["a/ours", "a/theirs.zip"]), names_of(["a/x", "b/x", "c"]), names_of(["a", "a"])
        (['ours', 'theirs'], ['a/x', 'b/x', 'c'], ['a', 'a (2)'])
        >>> names_of(["a", "a", "a (2)"])  # a folder may be called so
        ['a', 'a (3)', 'a (2)']
    """
    deepest = max(len(Path(source).parts) for source in sources)
    names = list(map(name_of, sources))
    for depth in range(2, deepest + 1):
        if len(set(names)) == len(set(sources)):
            break
        repeated = {name for name in names if names.count(name) > 1}
        longer = ["/".join(Path(source).parts[-depth:]) for source in sources]
        names = [more if name in repeated else name for name, more in zip(names, longer)]
    return _numbered(names)


def _numbered(names: Sequence[str]) -> list[str]:
    """Return names of which those that came before have a number that no other has."""
    taken, found = set(names), []
    for name in names:
        numbers = (f"{name} ({i})" for i in count(2))
        found.append(name if name not in found else next(one for one in numbers if one not in taken))
        taken.add(found[-1])
    return found
