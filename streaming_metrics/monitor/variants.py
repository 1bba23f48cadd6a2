"""Variants of a monitor: its samplers, each with what is of its images alone; one at a time is in the metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from streaming_metrics.monitor.pictures import Pictures
from streaming_metrics.report.sides import SidesTable
from streaming_metrics.verdicts.contests import contests_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.images.image_sampler import ImageSampler
    from streaming_metrics.monitor.deciding import Decider
    from streaming_metrics.monitor.paired import PairedMetrics
    from streaming_metrics.monitor.reporter import Reporter
    from streaming_metrics.monitor.settings import Settings
    from streaming_metrics.verdicts.evidence import Evidence


class Measured(NamedTuple):
    """What came of a sampler's images: values, how they came about, and what they are compared by."""

    values: dict[str, Tensor]
    signature: str
    evidence: dict[str, Evidence]


class Variant:
    """Variant of a monitor: one of its samplers, and what belongs to it.

    Args:
        name: of the sampler; empty where there is but one.
        settings: of the monitor, with this sampler's prefix and folders.
        sampler: draws images from the model.
        reporter: keeps what a report shows; None for none.
        decider: ends the generation of an epoch once its verdict is told; None for never.

    Attributes:
        pictures: of the epoch.
        ways: between samples, for a report, on the rank that writes it; None where the model does not interpolate.
        decided: values of the epoch's verdict, once it is told, and what was warned of.
        measured: what came of the epoch; None before that.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        sampler: ImageSampler,
        reporter: Reporter | None = None,
        decider: Decider | None = None,
    ) -> None:
        self.name, self.settings, self.sampler = name, settings, sampler
        self.reporter, self.decider = reporter, decider
        self.pictures = Pictures(settings.num_shown, reporter.thumbnails if reporter else None)
        self.ways: Tensor | None = None
        self.forget()

    def forget(self) -> None:
        """Forget an epoch."""
        self.pictures.clear()
        if self.sampler.reach is not None:
            self.sampler.reach.clear()
        self.decided: tuple[dict[str, Tensor], list[str]] | None = None
        self.measured: Measured | None = None
        self.aside: tuple[Any, Any] | None = None


class Variants:
    """Variants of a monitor, which share its metric: each in turn has its generated samples in there.

    Args:
        every: of the monitor, one or more.
        metric: holds the samples of the one whose turn it is, and the real side of all.
        beside: metrics of torchmetrics that are fed with the same images.

    Attributes:
        now: whose turn it is.
    """

    def __init__(self, every: Sequence[Variant], metric: GenerativeMetrics, beside: PairedMetrics) -> None:
        self.every, self.now = tuple(every), every[0]
        self._metric, self._beside = metric, beside

    def __iter__(self) -> Iterator[Variant]:
        return iter(self.every)

    def turn_to(self, variant: Variant) -> None:
        """Have a variant's samples in the metric; those that were there wait, unless they are measured."""
        if variant is self.now:
            return
        kept = self._metric.set_aside(), self._beside.set_aside()
        self.now.aside, self.now = None if self.now.measured else kept, variant
        if variant.aside is not None:
            samples, batches = variant.aside
            self._metric.put_back(samples)
            self._beside.put_back(batches)
            variant.aside = None

    def forget(self) -> None:
        """Forget an epoch of all; the metric must have been reset."""
        for variant in self.every:
            variant.forget()
        self.now = self.every[0]


def beside_each_other(variants: Sequence[Variant]) -> SidesTable | None:
    """Return what samplers were measured as, beside each other, and which are better by the same seeds; None of one.

    Samplers that stop where their own verdict is told are of other numbers of samples, and not compared.
    """
    measured = {one.name: one.measured for one in variants if one.measured is not None}
    if len(measured) < 2:
        return None
    scores = {name: {key: float(value) for key, value in one.values.items()} for name, one in measured.items()}
    is_decided = any(one.decider for one in variants)
    evidence = {} if is_decided else {name: one.evidence for name, one in measured.items()}
    return SidesTable.of(scores, contests_of(evidence))
