"""A source of images is a map-style dataset in a fixed order, that every process can read by itself."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import Counter
from contextlib import suppress
from copy import copy
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch.utils.data import Dataset

from streaming_metrics.images.decode import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor
    from typing_extensions import Self

T = TypeVar("T")


class Images(Dataset["Tensor"], ABC):
    """Images by number, the same in every process and on every day while the source does not change.

    Attributes:
        left_out: how many files beside them are not counted, by reason.
        value_range: the floats that stand for black and white, where it was told of floats; else None.
        upright: whether they are turned as EXIF says, rather than left as they are stored.
    """

    left_out: Mapping[str, int] = MappingProxyType({})
    value_range: tuple[float, float] | None = None
    upright: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, i: int) -> str:
        """Return what errors and listings call image i."""

    def path_below(self, i: int) -> str | None:  # noqa: ARG002
        """Return the path of image i below the source, or inside its archive; None where images have none."""
        return None

    def label(self, i: int) -> str | None:  # noqa: ARG002
        """Return the class of image i, by its name; None where images have none."""
        return None

    def head(self, i: int, most: int | None = None) -> bytes | None:  # noqa: ARG002
        """Return the first bytes of the file of image i, without decoding it; safe in threads.

        Args:
            i: its number.
            most: how many; None takes all.

        Returns:
            None where images are of no files, or where a look into one costs as much as reading all.

        Raises:
            Unreadable: where the file does not read.
        """
        return None

    @property
    def labelled_by(self) -> str:
        """What says which image is of which class, in a word."""
        return "source"

    def files(self) -> tuple[Path, ...] | None:
        """Return the files that the pixels are read from; None where they are not of files alone."""
        return None

    def recipe(self) -> str:
        """Return what beside the files decides which image is which and what its pixels are, the same every day."""
        return type(self).__name__ + (", turned by EXIF" if self.upright else "")

    def turned_upright(self) -> Self:
        """Return the same images, turned as EXIF says."""
        other = copy(self)
        other.upright = True
        return other

    def decoded(self, content: bytes) -> Tensor:
        """Return the image in a file's bytes, turned where this source's images are; raise :class:`Unreadable`."""
        return decode(content, upright=self.upright)

    @abstractmethod
    def __getitem__(self, i: int) -> Tensor:
        """Return image i, uint8 ``(3, H, W)``; raise :class:`Unreadable` where it does not read."""


class Joined(Images):
    """Several sources, one after another.

    Args:
        parts: sources.
    """

    def __init__(self, parts: Sequence[Images]) -> None:
        self.parts, self.ends = parts, list(accumulate(len(part) for part in parts))
        self.left_out = dict(sum((Counter(part.left_out) for part in parts), Counter[str]()))

    def __len__(self) -> int:
        return self.ends[-1]

    def name(self, i: int) -> str:
        part, inner = self._place(i)
        return part.name(inner)

    def path_below(self, i: int) -> str | None:
        part, inner = self._place(i)
        return part.path_below(inner)

    def label(self, i: int) -> str | None:
        part, inner = self._place(i)
        return part.label(inner)

    def head(self, i: int, most: int | None = None) -> bytes | None:
        part, inner = self._place(i)
        return part.head(inner, most)

    @property
    def labelled_by(self) -> str:
        return " and ".join(dict.fromkeys(part.labelled_by for part in self.parts))

    def files(self) -> tuple[Path, ...] | None:
        each = [part.files() for part in self.parts]
        return None if None in each else tuple(file for files in each for file in files or ())

    def turned_upright(self) -> Self:
        other = super().turned_upright()
        other.parts = [part.turned_upright() for part in self.parts]
        return other

    def recipe(self) -> str:
        return " + ".join(f"{len(part)} × {part.recipe()}" for part in self.parts)

    def __getitem__(self, i: int) -> Tensor:
        part, inner = self._place(i)
        return part[inner]

    def _place(self, i: int) -> tuple[Images, int]:
        number = bisect_right(self.ends, i)
        return self.parts[number], i - (self.ends[number] - len(self.parts[number]))


class Chosen(Images):
    """Some images of a source, in the order given.

    Args:
        whole: the source.
        chosen: their numbers there.
    """

    def __init__(self, whole: Images, chosen: list[int]) -> None:
        self.whole, self.chosen, self.left_out = whole, chosen, whole.left_out

    def __len__(self) -> int:
        return len(self.chosen)

    def name(self, i: int) -> str:
        return self.whole.name(self.chosen[i])

    def path_below(self, i: int) -> str | None:
        return self.whole.path_below(self.chosen[i])

    def label(self, i: int) -> str | None:
        return self.whole.label(self.chosen[i])

    def head(self, i: int, most: int | None = None) -> bytes | None:
        return self.whole.head(self.chosen[i], most)

    @property
    def labelled_by(self) -> str:
        return self.whole.labelled_by

    def files(self) -> tuple[Path, ...] | None:
        return self.whole.files()

    def turned_upright(self) -> Self:
        other = super().turned_upright()
        other.whole = self.whole.turned_upright()
        return other

    def recipe(self) -> str:
        return f"{self.whole.recipe()} at {self.chosen}"

    def __getitem__(self, i: int) -> Tensor:
        return self.whole[self.chosen[i]]


class Part(Chosen):
    """A random part of a source, drawn without replacement, in the source's order.

    Args:
        whole: the source.
        num_samples: how many of its images.
        seed: of the draw; the same seed draws the same positions from sources of equal length.

    Raises:
        ValueError: where there are fewer.
    """

    def __init__(self, whole: Images, num_samples: int, seed: int = 0) -> None:
        if not 1 <= num_samples <= len(whole):
            raise ValueError(
                f"num_samples: expected 1 to {len(whole)}, the images there are, got {num_samples}. "
                "Remedy: leave it out to take all."
            )
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(len(whole), generator=generator)[:num_samples]
        super().__init__(whole, drawn.sort().values.tolist())


class PerProcess(Generic[T]):
    """An open file that each process opens for itself: processes that share one share its position.

    Args:
        open_it: opens it; must pickle.
    """

    def __init__(self, open_it: Callable[[], T]) -> None:
        self.open_it, self.process, self.opened = open_it, -1, None

    def __call__(self) -> T:
        if self.process != os.getpid() or self.opened is None:
            self.process, self.opened = os.getpid(), self.open_it()
        return self.opened

    def __getstate__(self) -> dict[str, Any]:
        return {"open_it": self.open_it, "process": -1, "opened": None}

    def __del__(self) -> None:
        with suppress(Exception):
            self.opened.close()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
