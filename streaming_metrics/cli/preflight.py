"""Preflight: headers of all images, read before any work, so that what is wrong is known at once and as a whole."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.cli.reading import ReadResult, refuse_unreadable
from streaming_metrics.cli.terminal import reading_bar
from streaming_metrics.images import Unreadable
from streaming_metrics.images.headers import header_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.images import Images

CHUNK = 64
MOST_THREADS = 16
SHOWN_FROM = 20_000
"""Images of which a bar is shown: the headers of fewer take seconds."""


@dataclass(frozen=True)
class Headers:
    """Headers of a source's images.

    Args:
        sizes, modes: how many images are of each ``width × height`` and of each of PIL's modes.
        turned: how many EXIF says are to be turned.
        unreadable: number, name and reason of those that do not read.
    """

    sizes: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    turned: int = 0
    unreadable: list[tuple[int, str, str]] = field(default_factory=list)

    @classmethod
    def sum_of(cls, parts: Iterable[Headers]) -> Headers:
        """Return the headers of all parts."""
        sizes, modes, turned, unreadable = Counter[str](), Counter[str](), 0, list[tuple[int, str, str]]()
        for part in parts:
            sizes.update(part.sizes)
            modes.update(part.modes)
            turned += part.turned
            unreadable += part.unreadable
        return cls(sizes, modes, turned, sorted(unreadable))

    @classmethod
    def of(cls, images: Images, comm: Comm, advance: Callable[[int], None]) -> Headers:
        """Return the headers of all images, over ranks; empty of a source that has none; collective."""
        mine = range(comm.rank, len(images), comm.world_size)
        chunks = [mine[start : start + CHUNK] for start in range(0, len(mine), CHUNK)]
        parts = []
        with warnings.catch_warnings(), ThreadPoolExecutor(min(MOST_THREADS, 4 * (os.cpu_count() or 1))) as pool:
            warnings.simplefilter("ignore")  # PIL's of large images, which are decoded all the same
            for one in pool.map(lambda numbers: cls._of_some(images, numbers), chunks):
                parts.append(one)
                advance(CHUNK * comm.world_size)
        return cls.sum_of(parts)._over(comm)

    @classmethod
    def _of_some(cls, images: Images, numbers: Sequence[int]) -> Headers:
        headers, unreadable = [], []
        for i in numbers:
            try:
                headers.append(header_of(images, i))
            except Unreadable as error:
                unreadable.append((i, images.name(i), str(error)))
        known = [header for header in headers if header is not None]
        sizes = Counter(f"{header.width} × {header.height}" for header in known)
        turned = sum(header.is_turned for header in known)
        return cls(sizes, Counter(header.mode for header in known), turned, unreadable)

    def _over(self, comm: Comm) -> Headers:
        told = json.dumps([self.sizes, self.modes, self.turned, self.unreadable])
        each = [json.loads(text) for text in comm.rendezvous(told)]
        return Headers.sum_of(Headers(Counter(s), Counter(m), t, [(*one,) for one in u]) for s, m, t, u in each)


def check_headers(sides: Mapping[str, Images], comm: Comm, *, skip: bool, shown: bool) -> list[str]:
    """Return what the headers of sources tell that scores depend on, in lines; collective.

    Args:
        sides: by what the user calls them, the real one first.
        comm: the ranks, each of which reads its share.
        skip: leave images that do not read to the reading, which counts them.
        shown: whether rank 0 shows a bar, where there are many.

    Raises:
        Unreadable: naming all images of all sides whose headers do not read.
    """
    found = {}
    for name, images in sides.items():
        is_shown = shown and comm.rank == 0 and len(images) >= SHOWN_FROM
        with reading_bar(f"headers of {name}", len(images), is_shown) as advance:
            found[name] = Headers.of(images, comm, advance)
    if not skip:
        refuse_unreadable([ReadResult(0, one.unreadable) for one in found.values()], comm)
    (first, real), *others = found.items() or [("", Headers())]
    lines = [_turned(name, one) for name, one in found.items() if not sides[name].upright]
    lines += [_apart(first, real, name, other) for name, other in others]
    lines += [_inside(*pair, sides) for name, _ in others for pair in ((first, name), (name, first))]
    return [line for line in dict.fromkeys(lines) if line]


def _turned(name: str, headers: Headers) -> str:
    """Return how many images EXIF would turn that are taken as they are stored, in a line; empty for none."""
    if not headers.turned:
        return ""
    return (
        f"{name}: EXIF turns {headers.turned:,} of {headers.sizes.total():,} images, whose pixels are taken as stored. "
        "Remedy: --exif, where they should be seen upright."
    )


def _inside(folder: str, other: str, sides: Mapping[str, Images]) -> str:
    """Return that a source is a folder with whose images another one's are read, in a line; empty where it is not."""
    where, within = (Path(text).absolute() for text in (folder, other))
    outer, inner = where.resolve(), within.resolve()
    is_below = outer != inner and (outer in inner.parents or where in within.parents)
    if not (is_below and outer.is_dir() and inner.exists()):
        return ""
    counted, of_both = ({os.path.realpath(file) for file in sides[name].files() or ()} for name in (folder, other))
    if not counted & of_both:  # what lies there may be left out: hidden, or no image
        return ""
    return (
        f"{other} lies inside {folder}, which is read with all folders below it: its images are counted on both sides. "
        "Remedy: name the folder of one side alone."
    )


def _apart(first: str, ours: Headers, second: str, theirs: Headers) -> str:
    """Return in which sizes and modes two sides differ, in a line; empty where they do not, or both have many."""
    told = {
        what: (_told(one), _told(other))
        for what, one, other in (("sizes", ours.sizes, theirs.sizes), ("modes", ours.modes, theirs.modes))
        if one and other and set(one) != set(other) and 1 in (len(one), len(other))
    }
    if not told:
        return ""
    sides = (f"{name}: {', '.join(of[place] for of in told.values())}" for place, name in enumerate((first, second)))
    return f"{' and '.join(told)} of images differ: {'; '.join(sides)}"


def _told(counted: Counter[str]) -> str:
    """Return what there is, and of how many images where not of all.

    Example:
        >>> _told(Counter({"64 × 64": 10})), _told(Counter({"64 × 64": 9, "8 × 8": 1}))
        ('64 × 64', '64 × 64 (9 of 10) and 1 other')
    """
    (most, count), *others = counted.most_common()
    more = f" ({count:,} of {counted.total():,}) and {len(others)} other{'s' * (len(others) > 1)}" if others else ""
    return f"{most}{more}"
