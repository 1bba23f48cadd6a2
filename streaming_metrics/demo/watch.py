"""Monitors of the demo: which measures look at what is generated, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, TensorDataset

from streaming_metrics import CAS, FID, FWD, IS, KID, PRDC, IntraFID
from streaming_metrics.cli.plan import Plan
from streaming_metrics.demo import study
from streaming_metrics.extractors import EfficientNetLite0
from streaming_metrics.measures.catalogue import Entry, all_measures
from streaming_metrics.measures.registry import as_measures
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from torch import Tensor

    from streaming_metrics import Measure
    from streaming_metrics.demo.sets import ImageSet


def watch_digits(options: argparse.Namespace, images: ImageSet) -> GenerationMonitor:
    """Return the callback that generates, measures and logs every epoch."""
    core = [FID(), KID(subset_size=min(1000, options.samples)), IS(), PRDC()]
    return GenerationMonitor(
        chosen(options, core, images),
        network_of(options),
        sample="sample",
        num_samples=options.samples,
        **shared(options, images),
    )


def watch_labelled(options: argparse.Namespace, images: ImageSet) -> GenerationMonitor:
    """Return the callback that measures images drawn by class: with the average of the weights, and with the raw ones.

    FWD brings features of its own, the wavelet packets of pixels; KID of all pairs knows its error, by which the report
    tells whether the average is better.
    """
    classes = len(images.classes)
    core = [FID(), KID(subsets=None), IntraFID(classes), CAS(classes), FWD(), PRDC(), IS()]
    measures = chosen(options, core, images)
    return GenerationMonitor(
        measures,
        network_of(options),
        sample={"ema": "sample", "raw": "raw"},
        num_samples=options.samples,
        batch_size=classes * max(1, 128 // classes),  # as many of each class
        label_key=1 if any("labels" in Entry(measure).columns for measure in measures) else None,
        **shared(options, images),
    )


def shared(options: argparse.Namespace, images: ImageSet) -> dict[str, Any]:
    """Return the options that all monitors of the demo share."""
    num_real = len(images.real[0])
    return {
        "train": loader(*(part[:num_real] for part in images.train)) if options.measures == "all" else None,
        "report": options.out / "report.html",
        "keep_samples": options.out / "study" / "samples" if options.study else None,
        "keep": study.IMAGES,
        "decide": "kid" if options.decide else None,
    }


def chosen(options: argparse.Namespace, core: Sequence[Measure], images: ImageSet) -> list[Measure]:
    """Return the measures that ``--measures`` names; of all, say which are left out, and why.

    Captions are for models of them, and so are labels where the images are of no particular kind.
    """
    if options.measures == "core":
        measures = [*core]
    elif options.measures == "all":
        measures = _all(core, len(images.real[0]), options.samples)
    else:
        measures = as_measures(options.measures)
    if options.decide:  # unbiased, so that few images do for 1,280 features, and of all pairs: an error is known
        measures = [KID(subsets=None) if isinstance(measure, KID) else measure for measure in measures]
    return measures


def network_of(options: argparse.Namespace) -> Any:
    """Return the network that ``--extractor`` names."""
    is_small = options.extractor == "efficientnet-lite0"
    return EfficientNetLite0(side=options.side) if is_small else options.extractor


def loader(*parts: Tensor) -> DataLoader[Any]:
    """Return a loader of images, and of their labels if there are any, in their order."""
    return DataLoader(TensorDataset(*parts), batch_size=256)


def _all(core: Sequence[Measure], num_real: int, num_samples: int) -> list[Measure]:
    found, left_out = all_measures(roles=("real", "fake", "train"))
    own = {measure.label: measure for measure in core}
    measures = [*({measure.label: measure for measure in found} | own).values()]
    plan = Plan.of(measures, real=num_real, fake=num_samples, train=num_real)
    reasons = {label: why for label, why in left_out if label not in own}
    for label, why in [*reasons.items(), *plan.unscored.items()]:
        print(f"left out: {label}: {why}")
    return plan.scored
