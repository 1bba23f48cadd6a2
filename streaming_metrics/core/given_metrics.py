"""Metrics of torchmetrics as users give them: names, instances, lists and dicts of either, each under its key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from torchmetrics import Metric

from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.base import Scalar
from streaming_metrics.measures.torchmetrics_names import KNOWN

if TYPE_CHECKING:
    from streaming_metrics.measures.torchmetrics_names import Named

MetricsGiven: TypeAlias = "str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric]"
"""What users may give as ``paired=``, ``captioned=`` and ``through=``."""
SQUARED = "squared"
BETTER = {True: "higher", False: "lower", None: None}


def metrics_by_key(given: MetricsGiven | None, known: Mapping[str, Named], source: str) -> dict[str, Metric]:
    """Return metrics by the keys of their values; copies of those that were given.

    Args:
        given: names, ``"psnr,ssim"`` too, instances, or either by key.
        known: what names there are.
        source: names the argument in errors.

    Raises:
        TypeError: where one is neither a name nor a metric.
        ValueError: for an unknown name, a key twice, or one that is no identifier.
        OSError: where a network's weights cannot be had.

    Example:
        >>> from streaming_metrics.measures.torchmetrics_names import PAIRED
        >>> metrics_by_key("mse,ms-ssim", PAIRED, "paired")
        {'mse': MeanSquaredError(), 'ms_ssim': MultiScaleStructuralSimilarityIndexMeasure()}
    """
    found: dict[str, Metric] = {}
    for key, one in _listed(given):
        metric = _metric(one, known, source)
        name = key or _key_of(one)
        if name in found:
            raise ValueError(f"{source}: two metrics yield {name!r}. Remedy: a dict, {{'{name}_2': metric, …}}.")
        if not name.isidentifier():
            raise ValueError(f"{source}: expected keys of letters, digits and underscores, got {name!r}.")
        found[name] = metric
    return found


def scalar_of_metric(key: str, metric: Metric) -> Scalar:
    """Return what is known of a metric's value, by its class: which values are better, and whose scale it shares.

    Example:
        >>> from torchmetrics.image import PeakSignalNoiseRatio
        >>> scalar_of_metric("psnr_y", PeakSignalNoiseRatio(1.0)).better
        'higher'
    """
    named = _named(metric)
    if named is not None:
        return replace(named.scalar, key=key, family=named.scalar.family or named.scalar.title)
    return Scalar(key, better=BETTER[metric.higher_is_better])  # pyright: ignore[reportArgumentType]


def parts_of(metric: Metric) -> list[Metric]:
    """Return a metric, and those inside of it: each holds states of its own."""
    return [part for part in metric.modules() if isinstance(part, Metric)]


def _listed(given: Any) -> list[tuple[str | None, Any]]:
    """Return keys and what stands for a metric; None where it says its key itself."""
    if given is None:
        return []
    if isinstance(given, str):
        return [(None, name.strip()) for name in given.split(",") if name.strip()]
    if isinstance(given, Mapping) or hasattr(given, "items"):  # a MetricCollection is no Mapping
        return list(given.items())
    several = given if isinstance(given, Iterable) and not isinstance(given, Metric) else [given]
    return [(None, one) for one in several]


def _metric(one: Any, known: Mapping[str, Named], source: str) -> Metric:
    if isinstance(one, Metric):
        metric = deepcopy(one)
        metric.reset()
        return metric
    if isinstance(one, str):
        return _made(one, lookup(known, one.lower().replace("_", "-"), f"name in {source}="), source)
    raise TypeError(
        f"{source}: expected names ({', '.join(known)}) or metrics of torchmetrics, got {one!r}. Remedy: an instance, "
        "e.g. PeakSignalNoiseRatio(data_range=1.0)."
    )


def _made(name: str, named: Named, source: str) -> Metric:
    module, _, cls = named.where.partition(":")
    try:
        return getattr(import_module(module), cls)(**named.options)
    except AttributeError as error:  # torchmetrics leaves a class out where what it imports is missing
        raise ImportError(
            f"{source}: {name!r} is {cls} of {module}, which is not there: {error}. Remedy: what it imports, for "
            f'clip-score pip install "streaming-metrics[captions]"; or another version of torchmetrics.'
        ) from error
    except OSError as error:
        raise OSError(
            f"{source}: {name!r} looks through a network whose weights are not here: {error}. Remedy: once with a "
            "network connection, which fills the cache; or an instance of the metric with weights of one's own."
        ) from error


def _key_of(one: Any) -> str:
    if isinstance(one, str):
        return one.lower().replace("-", "_")
    named = _named(one)
    return named.scalar.key if named else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(one).__name__).lower()


def _named(metric: Metric) -> Named | None:
    return next((named for named in KNOWN.values() if _is_one(metric, named)), None)


def _is_one(metric: Metric, named: Named) -> bool:
    """Return whether a metric yields what a name stands for: a root of an error is not that error."""
    module, cls = type(metric).__module__, type(metric).__name__
    is_of_it = cls == named.class_name and module.startswith(named.where.partition(".")[0])
    return is_of_it and getattr(metric, SQUARED, True) == named.options.get(SQUARED, True)
