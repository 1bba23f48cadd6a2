"""Reported keys: what the scalars of several measures are called in one result, each told from all others."""

from __future__ import annotations

import hashlib
import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streaming_metrics.measures.base import Measure, Scalar


def reported_keys(measures: Sequence[Measure], tags: Sequence[str | None]) -> tuple[dict[str, str], ...]:
    """Return, for each measure, the reported key of each of its scalars' keys.

    The first measure that yields a key has it bare; a later one that would report any key again gets its parameters
    that are not defaults into all of its keys, before the tag, so that its values stay together: ``precision_k3``,
    ``kd_std_gamma0_5_dinov2``. They depend on the measures and their order alone.

    Args:
        measures: as a metric computes them.
        tags: the tag of each one's network; None for the published Inception.

    Raises:
        ValueError: where two are the same measure of the same network.

    Example:
        >>> from streaming_metrics.measures import FID, PRDC
        >>> fid, first, second = reported_keys([FID(), PRDC(), PRDC(k=3)], [None, None, "dinov2"])
        >>> fid, second["precision"], reported_keys([PRDC(), PRDC(k=3)], [None, None])[1]["precision"]
        ({'fid': 'fid'}, 'precision_dinov2', 'precision_k3')
    """
    _refuse_equal(measures, tags)
    taken: set[str] = set()
    found = []
    for place, (measure, tag) in enumerate(zip(measures, tags)):
        earlier = [other for other, its in zip(measures[:place], tags) if its == tag]
        ways = _candidates(measure, tag, earlier)
        keys = next((keys for keys in ways if not taken & {*keys.values()}), None)
        if keys is None:
            raise _told_twice(measure, tag)
        taken |= {*keys.values()}
        found.append(keys)
    return tuple(found)


def _candidates(measure: Measure, tag: str | None, earlier: Sequence[Measure]) -> Iterator[dict[str, str]]:
    """Yield ways to report a measure's keys, the shortest first, the last of them its own alone."""
    written = measure.describe()
    yield _qualified(measure.scalars, "", tag)
    parameters = identifier(written.partition("(")[2]) or _differences(measure, earlier)
    for qualifier in (parameters, "_".join(filter(None, [parameters, measure.label]))):
        if qualifier:
            yield _qualified(measure.scalars, qualifier, tag)
    yield _qualified(measure.scalars, f"{parameters}_{hashlib.sha256(written.encode()).hexdigest()[:8]}", tag)


def _qualified(scalars: Iterable[Scalar], qualifier: str, tag: str | None) -> dict[str, str]:
    return {scalar.key: _reported(scalar, qualifier, tag) for scalar in scalars}


def _reported(scalar: Scalar, qualifier: str, tag: str | None) -> str:
    if not qualifier:
        return scalar.reported(tag)
    return f"{scalar.key}_{qualifier}" if tag is None else scalar.reported(f"{qualifier}_{tag}")


def _differences(measure: Measure, earlier: Sequence[Measure]) -> str:
    """Return the default parameters of a measure that an earlier one of its class has otherwise."""
    alike = [other for other in earlier if type(other) is type(measure)]
    names = [
        f.name
        for f in fields(measure)
        if f.repr and f.name != "on" and any(getattr(other, f.name) != getattr(measure, f.name) for other in alike)
    ]
    return identifier(",".join(f"{name}={getattr(measure, name)}" for name in names))


def identifier(parameters: str) -> str:
    """Return parameters as a part of a key: letters, digits and underscores.

    Example:
        >>> identifier("gamma=0.5,subsets=None)"), identifier("sizes=(1, 2),seed=-1")
        ('gamma0_5_subsetsNone', 'sizes_1_2_seed_1')
    """
    return re.sub(r"\W+", "_", parameters.replace("=", "")).strip("_")


def _refuse_equal(measures: Sequence[Measure], tags: Sequence[str | None]) -> None:
    seen: list[tuple[Measure, str | None]] = []
    for measure, tag in zip(measures, tags):
        which = replace(measure, on=None), tag
        if which in seen:
            raise _told_twice(measure, tag)
        seen.append(which)


def _told_twice(measure: Measure, tag: str | None) -> ValueError:
    return ValueError(
        f"Two measures report {measure.scalars[0].reported(tag)!r}. Remedy: one metric for each, in a MetricCollection "
        "with prefixes."
    )
