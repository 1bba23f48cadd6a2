"""Seeds: whether images of two generated sides are of the same seeds, by the paths or the places that they have."""

from __future__ import annotations

import hashlib
from collections import Counter
from posixpath import normpath, splitext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streaming_metrics.cli.results import Result
    from streaming_metrics.images import Images

TELLING = ("paths", "places", "seeds")
"""What tells images of the same seeds, the surest first: the first that both sides have decides."""
SHOWN = 3
REMEDY = (
    "Remedy: images of the same seeds under the same paths in both; or --unpaired, for a wider interval that asks for "
    "nothing of the kind."
)


def ids_of(images: Images) -> dict[str, str]:
    """Return digests of what tells the images of a source apart, in their order: images of one id must be of one seed.

    ``"paths"`` of folders and archives, below the source and without endings where these tell nothing apart;
    ``"places"`` in the whole source, which alone tell where there are no paths.
    """
    found = {"places": _digest(map(str, _places(images)))}
    paths = paths_of(images)
    return found if paths is None else {"paths": _digest(paths)} | found


def paths_of(images: Images) -> list[str] | None:
    """Return the paths of images below their source, without endings where none is lost by that; None without paths."""
    found = [images.path_below(i) for i in range(len(images))]
    known = [normpath(path) for path in found if path is not None]
    if not found or len(known) < len(found):
        return None
    bare = [splitext(path)[0] for path in known]
    return bare if len(set(bare)) == len(set(known)) else known


def refuse_other_seeds(first: str, one: Result, second: str, other: Result) -> None:
    """Raise ValueError where the images of two sides are known not to be of the same seeds.

    Args:
        first, second: names of the sides.
        one, other: their results.
    """
    counts = one.fake.num_samples, other.fake.num_samples
    if counts[0] != counts[1]:
        raise ValueError(
            f"{first} and {second}: expected as many images of both, of the same seeds, got {counts[0]} and "
            f"{counts[1]}. {REMEDY}"
        )
    what = next((what for what in TELLING if what in one.ids and what in other.ids), None)
    if what is not None and one.ids[what] != other.ids[what]:
        raise ValueError(f"{first} and {second}: expected images of the same {what}, got others. {REMEDY}")


def refuse_other_paths(sides: Mapping[str, Any]) -> None:
    """Raise ValueError, before an image is read, where sides of images are not of the same seeds: names what differs.

    Args:
        sides: sources by name; saved references among them are passed over.
    """
    known = {name: side for name, side in sides.items() if hasattr(side, "path_below")}
    for (first, one), (second, other) in zip(known.items(), list(known.items())[1:]):
        if len(one) != len(other):
            raise ValueError(
                f"{first} and {second}: expected as many images of both, of the same seeds, got {len(one)} and "
                f"{len(other)}. {REMEDY}"
            )
        ours, theirs = paths_of(one), paths_of(other)
        if ours is not None and theirs is not None and ours != theirs:
            raise ValueError(f"{first} and {second}: {_apart(first, ours, second, theirs)}. {REMEDY}")


def _apart(first: str, ours: list[str], second: str, theirs: list[str]) -> str:
    alone = {first: Counter(ours) - Counter(theirs), second: Counter(theirs) - Counter(ours)}
    told = [f"{len(of)} in {name} alone ({_listed(sorted(of))})" for name, of in alone.items() if of]
    return f"expected the same paths below both, got {' and '.join(told) or 'them in another order'}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _places(images: Images) -> list[int]:
    """Return the number of each image in the whole source that it was drawn from."""
    chosen = getattr(images, "chosen", None)
    if chosen is None:
        return list(range(len(images)))
    whole = _places(images.whole)  # pyright: ignore[reportAttributeAccessIssue]
    return [whole[number] for number in chosen]


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode(errors="surrogatepass")).hexdigest()[:16]
