"""Pairs of images: two sources in one order, the images of one path below each beside each other."""

from __future__ import annotations

from collections import Counter
from posixpath import normpath, splitext
from typing import TYPE_CHECKING

from streaming_metrics.images.base import Chosen, Images

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 5


def aligned(real: Images, fake: Images, names: tuple[str, str] = ("real", "fake")) -> tuple[Images, Images]:
    """Return two sources of which images of one number are a pair, in the order of the first.

    A pair has one path below its source; the endings may differ (``a/1.jpg`` and ``a/1.png``) where no path is lost by
    that. Arrays and datasets have no paths: their images are paired by number.

    Args:
        real, fake: the sources.
        names: of them, for errors.

    Raises:
        ValueError: where an image has no partner, or more than one; where one source has paths and the other has none.

    Example:
        >>> from streaming_metrics.images.archives import Folder
        >>> real, fake = aligned(Folder("a", ["1.jpg", "2.jpg"], {}), Folder("b", ["2.png", "1.png"], {}))
        >>> [(real.name(i), fake.name(i)) for i in range(2)]
        [('a/1.jpg', 'b/1.png'), ('a/2.jpg', 'b/2.png')]
    """
    paths = [[side.path_below(i) for i in range(len(side))] for side in (real, fake)]
    known = [[normpath(path) for path in of if path is not None] for of in paths]
    if not any(known):
        _refuse_counts(len(real), len(fake), names)
        return real, fake
    if not all(known):
        has, lacks = names if known[0] else names[::-1]
        raise ValueError(f"Pairs: expected paths of both sources, or of none, got {has} with and {lacks} without them.")
    ours, theirs = _keys(*known)
    for keys, name in ((ours, names[0]), (theirs, names[1])):
        _refuse_repeats(keys, name)
    _refuse_missing(ours, theirs, names)
    places = {key: number for number, key in enumerate(theirs)}
    return real, Chosen(fake, [places[key] for key in ours])


def _keys(ours: list[str], theirs: list[str]) -> tuple[list[str], list[str]]:
    """Return what partners share: their paths, without endings where these differ and none is lost by it."""
    bare, others = ([splitext(path)[0] for path in of] for of in (ours, theirs))
    loses = any(len(set(of)) < len(of) for of in (bare, others))
    return (ours, theirs) if loses or set(ours) == set(theirs) else (bare, others)


def _refuse_counts(real: int, fake: int, names: tuple[str, str]) -> None:
    if real != fake:
        raise ValueError(
            f"Pairs: expected as many images in both, which are paired by number, got {real} in {names[0]} and "
            f"{fake} in {names[1]}. Remedy: arrays of equal length, in one order."
        )


def _refuse_repeats(keys: Sequence[str], name: str) -> None:
    repeated = next((key for key, count in Counter(keys).items() if count > 1), None)
    if repeated is not None:
        raise ValueError(
            f"Pairs: expected every path once in {name}, got {repeated} again. Remedy: a folder or an archive in which "
            "paths are distinct."
        )


def _refuse_missing(ours: Sequence[str], theirs: Sequence[str], names: tuple[str, str]) -> None:
    alone = [
        f"{len(lonely)} in {name} without: {_listed(lonely)}"
        for keys, others, name in ((ours, theirs, names[0]), (theirs, ours, names[1]))
        if (lonely := sorted(set(keys) - set(others)))
    ]
    if alone:
        raise ValueError(
            f"Pairs: expected a partner of the same path for every image, got {'; '.join(alone)}. Remedy: the same "
            "paths below both sources; endings may differ."
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
