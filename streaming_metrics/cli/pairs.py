"""Pairs of images for metrics of torchmetrics: read beside each other, dealt to ranks without padding."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset

from streaming_metrics.cli.options import NONE
from streaming_metrics.cli.reading import Pack, Packs, ReadResult, refuse_unreadable
from streaming_metrics.core.metric_suite import MetricSuite
from streaming_metrics.images import imported
from streaming_metrics.images.conversion import to_unit
from streaming_metrics.measures.base import Roles
from streaming_metrics.measures.torchmetrics_names import PAIRED
from streaming_metrics.signature import Signature, library_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from streaming_metrics.cli.reading import ImageReader, TakesImages
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.images import Images

OPTION = "--paired"


def suite_of(text: str) -> MetricSuite:
    """Return the metrics that a comma-separated list names: ``psnr``, or ``package.module:metric`` of one's own.

    Raises:
        ValueError, TypeError, FileNotFoundError, OSError: where one is not known, is none, or lacks its weights.

    Example:
        >>> suite_of("psnr,ms-ssim,mse").keys
        ('psnr', 'ms_ssim', 'mse')
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    return MetricSuite([_own(name) if ":" in name else name for name in names], PAIRED, OPTION)


def told(suite: MetricSuite, pairs: int) -> dict[str, Any]:
    """Return how the values of pairs came about, for files: how many, whose metrics, and which values are better."""
    better = {scalar.key: scalar.better for scalar in suite.scalars}
    return {"pairs": pairs, "library": f"torchmetrics {version('torchmetrics')}", "better": better}


def read_pairs(
    suite: MetricSuite,
    sides: Roles[Images],
    comm: Comm,
    reading: ImageReader,
    advance: Callable[[int], Any] = lambda n: None,  # noqa: ARG005
    metric: TakesImages | None = None,
) -> tuple[int, Roles[ReadResult]]:
    """Give this rank's share of the pairs to the metrics; return how many there were, and what became of the images.

    Both are over all ranks; collective. A pair of which an image does not read is left out.

    Args:
        suite: the metrics.
        sides: images of one number are a pair.
        comm: the ranks.
        reading: how images are read.
        advance: told of each batch, how many pairs it had over all ranks.
        metric: takes the images of both sides too, so that each is decoded once.

    Raises:
        ValueError: on every rank, naming the first pair of two sizes.
        Unreadable: naming all images that do not read, unless those are skipped.
    """
    pairs, unlike, outcomes = 0, "", Roles(ReadResult(), ReadResult())
    for real, fake in reading.batches(_PairPacks(sides), len(sides.real), comm):
        outcomes = Roles(outcomes.real + real.outcome, outcomes.fake + fake.outcome)
        ours, theirs = real.by_number(), fake.by_number()
        both = [number for number in ours if number in theirs]
        different = [number for number in both if ours[number].shape != theirs[number].shape]
        if different:
            number = different[0]
            unlike = _unlike(sides, number, ours[number], theirs[number])
            break
        if reading.skip or not any(outcome.unreadable for outcome in outcomes):  # else decode alone, to list them all
            for group in _of_one_size(both, ours):
                generated, target = (torch.stack([of[number] for number in group]) for of in (theirs, ours))
                suite.update(to_unit(generated), to_unit(target))
            if metric is not None:
                _add(metric, Roles(real, fake))
        pairs += len(both)
        advance(real.size * comm.world_size)
    said = [json.loads(text) for text in comm.rendezvous(json.dumps([pairs, unlike]))]
    if first := next((text for _, text in said if text), ""):
        raise ValueError(first)
    whole = Roles(outcomes.real.over(comm), outcomes.fake.over(comm))
    if not reading.skip:
        refuse_unreadable([*whole], comm)
    return sum(count for count, _ in said), whole


def unscored(suite: MetricSuite, pairs: int) -> dict[str, str]:
    """Return the metrics that there is no pair for, and why."""
    return {} if pairs else dict.fromkeys(suite.keys, f"{OPTION}: expected a pair of which both images read, got none.")


def signature_of(suite: MetricSuite, outcomes: Roles[ReadResult]) -> str:
    """Return how the scores of pairs alone came about, without a network."""
    return str(Signature(suite.keys, NONE, NONE, outcomes.real.read, outcomes.fake.read, "fp32", library_version()))


class _PairPacks(Dataset["tuple[Pack, Pack]"]):
    def __init__(self, sides: Roles[Images]) -> None:
        self.real, self.fake = (Packs(side) for side in sides)

    def __getitem__(self, numbers: Any) -> tuple[Pack, Pack]:
        return self.real[numbers], self.fake[numbers]


def _add(metric: TakesImages, packs: Roles[Pack]) -> None:
    for pack, is_real in zip(packs, (True, False)):
        for group, index in pack.groups():
            metric.update(group, real=is_real, index=index)


def _of_one_size(numbers: list[int], images: dict[int, Tensor]) -> Iterator[list[int]]:
    for shape in dict.fromkeys(images[number].shape for number in numbers):
        yield [number for number in numbers if images[number].shape == shape]


def _unlike(sides: Roles[Images], number: int, real: Tensor, fake: Tensor) -> str:
    (height, width), (other_height, other_width) = real.shape[-2:], fake.shape[-2:]
    return (
        f"{OPTION}: expected both images of a pair to have one size, got {height} × {width} of "
        f"{sides.real.name(number)} and {other_height} × {other_width} of {sides.fake.name(number)}. Remedy: resize "
        "one of the sources."
    )


def _own(text: str) -> Any:
    """Return a metric of one's own, or what a class or function makes without arguments."""
    found = imported(text)
    if not isinstance(found, type) and hasattr(found, "update"):
        return found
    try:
        return found()
    except TypeError as error:
        raise TypeError(
            f"{OPTION}: expected {text} to be a metric of torchmetrics, or to make one without arguments: {error}. "
            "Remedy: an instance in the module, under a name."
        ) from error
