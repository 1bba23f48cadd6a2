"""Labels of sources: their classes, by name, made numbers for measures that read them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import torch

from streaming_metrics.files.reference import Reference
from streaming_metrics.images import Images
from streaming_metrics.measures.catalogue import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.cli.reading import TakesImages
    from streaming_metrics.core.shell import GenerativeMetrics
    from streaming_metrics.measures import Measure

Side = Union[Images, Reference, None]  # noqa: UP007
TOLD = 5
RECORD = "classes"
"""What a reference calls the numbers of its classes."""


@dataclass(frozen=True)
class Classes:
    """Classes of the real side, which those of generated images are among.

    Args:
        numbers: by name: the places of names in their order, or, where all are integers, these; empty where a reference
            does not say them: integers are then taken as they are.
        by: what says which image is of which.
    """

    numbers: Mapping[str, int]
    by: str = ""

    @classmethod
    def of(cls, real: Images | Reference, source: str) -> Classes:
        """Return the classes of a real side; raise ValueError where an image has none."""
        if isinstance(real, Reference):
            return cls({str(name): int(number) for name, number in (real.about.get(RECORD) or {}).items()})
        names = set(_labels(real, source))
        if all(name.isdecimal() for name in names):
            return cls({_plain(name): int(name) for name in sorted(names, key=int)}, real.labelled_by)
        return cls({name: number for number, name in enumerate(sorted(names))}, real.labelled_by)

    @property
    def least(self) -> int:
        """How many classes a measure must be told at least."""
        return max(self.numbers.values(), default=-1) + 1

    @property
    def are_numbers(self) -> bool:
        return all(name == str(number) for name, number in self.numbers.items())

    def column(self, images: Images, source: str) -> Tensor:
        """Return the number of each image's class, int64 ``(N,)``.

        Raises:
            ValueError: where an image has none, or one that the real side has not.
        """
        labels = _labels(images, source)
        names = [_plain(name) if name.isdecimal() else name for name in labels] if self.are_numbers else labels
        unknown = Counter(name for name in names if name not in self.numbers and (self.numbers or not name.isdecimal()))
        if unknown:
            known = (
                f"those of the real side, {_listed(self.numbers)}" if self.numbers else "integers, as the reference's"
            )
            raise ValueError(
                f"{source}: expected classes among {known}; got {len(unknown)} others, by {images.labelled_by}: "
                f"{_listed(unknown)}. Remedy: the same names in both, or integers in both."
            )
        return torch.tensor([self.numbers[name] if self.numbers else int(name) for name in names])

    def check(self, measures: Iterable[Measure]) -> None:
        """Raise ValueError where a measure is told of fewer classes than there are."""
        for measure in measures:
            told = getattr(measure, "classes", None)
            if told is not None and told < self.least:
                raise ValueError(
                    f"{measure.describe()}: expected classes={self.least} or more, as the real side has, got {told}. "
                    f"Remedy: {measure.label}(classes={self.least})."
                )

    def line(self, images: Images, source: str) -> str:
        """Return what is taken for the classes of a side's images, in a line."""
        present = set(self.column(images, source).tolist())
        found = [name for name, number in self.numbers.items() if number in present] or sorted(
            map(str, present), key=int
        )
        lacking = sorted(self.numbers.keys() - set(found))
        none_of = f"; none of {_listed(lacking)}" if lacking else ""
        return f"{source}: labels: {len(found)} classes by {images.labelled_by}: {_listed(found)}{none_of}"


@dataclass(frozen=True)
class Labelled:
    """Metric that is given labels with the images of each side, by their numbers.

    Args:
        metric: takes them.
        labels: of real images, and of generated ones.
    """

    metric: GenerativeMetrics
    labels: Mapping[bool, Tensor]

    @property
    def device(self) -> torch.device:
        return self.metric.device

    @property
    def networks(self) -> tuple[str, ...]:
        return self.metric.networks

    def update(self, images: Tensor, *, real: bool, index: Tensor) -> None:
        self.metric.update(images, real=real, index=index, labels=self.labels[real][index])


def reading_labels(measures: Iterable[Measure]) -> list[Measure]:
    """Return the measures that read labels.

    Example:
        >>> from streaming_metrics import FID, IntraFID
        >>> [measure.describe() for measure in reading_labels([FID(), IntraFID(classes=2)])]
        ['intra_fid(classes=2)']
    """
    return [measure for measure in measures if "labels" in Entry(measure).columns]


def labelled(metric: GenerativeMetrics, real: Side, fake: Side = None) -> TakesImages:
    """Return what images are read for: the metric, which is given their labels where its measures read them."""
    if real is None or not reading_labels(metric._layout.measures):
        return metric
    classes = Classes.of(real, "real")
    named = ((True, real, "real"), (False, fake, "generated"))
    return Labelled(metric, {real: classes.column(s, name) for real, s, name in named if isinstance(s, Images)})


def lines_of_labels(measures: Iterable[Measure], sides: Mapping[str, Side]) -> list[str]:
    """Return what is taken for labels, a line a side; none where no measure reads them.

    Args:
        measures: that are scored.
        sides: by what the user calls them, the real one first.

    Raises:
        ValueError: where images lack labels, classes differ, or measures are told of fewer.
    """
    readers = reading_labels(measures)
    if not readers:
        return []
    (first, real), *fakes = sides.items()
    assert real is not None
    classes = Classes.of(real, first)
    classes.check(readers)
    for name, side in fakes:
        if isinstance(side, Reference):
            _refuse_other_numbers(classes, Classes.of(side, name), name)
    return [classes.line(side, name) for name, side in sides.items() if isinstance(side, Images)]


def record_of(measures: Iterable[Measure], source: Images, name: str) -> dict[str, Mapping[str, int]]:
    """Return what a reference says of its classes; nothing where no measure reads them."""
    return {RECORD: Classes.of(source, name).numbers} if reading_labels(measures) else {}


def _labels(images: Images, source: str) -> list[str]:
    found = [images.label(i) for i in range(len(images))]
    known = [label for label in found if label is not None]
    if len(known) < len(found):
        first = images.name(found.index(None))
        raise ValueError(
            f"{source}: expected a class of every image, as a measure reads them, got none of "
            f"{len(found) - len(known):,} of {len(found):,}, e.g. of {first}. Remedy: a folder a class (cat/0.png), or "
            "StyleGAN's dataset.json."
        )
    return known


def _refuse_other_numbers(ours: Classes, theirs: Classes, name: str) -> None:
    named = theirs.numbers.items()
    other = [what for what, number in named if ours.numbers.get(what, -1) != number]
    if (other and (ours.numbers or not theirs.are_numbers)) or not (ours.are_numbers or theirs.numbers):
        raise ValueError(
            f"{name}: expected the real side's classes under the same numbers, got {_listed(other) or 'no names'}. "
            "Remedy: its images; or references of both sides, of the same classes."
        )


def _plain(number: str) -> str:
    """Return an integer without zeros before it: folders ``00`` to ``99`` are classes 0 to 99."""
    return str(int(number))


def _listed(names: Sequence[str] | Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:TOLD]) + (f" and {len(known) - TOLD} more" if len(known) > TOLD else "")
