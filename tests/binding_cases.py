"""Samples, measures and ways of use by which tests of binding compare metrics that bind with one that never froze."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch

from streaming_metrics import PRDC, Features, GenerativeMetrics, ImageRetrieval, ParzenLikelihood
from streaming_metrics.measures.authenticity import AuthPct
from streaming_metrics.measures.bins import NDB
from streaming_metrics.measures.intra_frechet import IntraFID
from streaming_metrics.measures.kernel import KID
from streaming_metrics.measures.mmd import MMD
from streaming_metrics.measures.r_precision import RPrecision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics import Measure

WIDTH, BATCH = 4, 12
BINDING: list[list[Measure]] = [
    [PRDC(k=3, recall=False)],
    [PRDC(variant="improved", recall=False)],
    [NDB(bins=4, most=20)],
    [AuthPct()],
    [RPrecision(candidates=4)],
    [ParzenLikelihood(most=20), ImageRetrieval(most=20)],
    [PRDC(k=2, recall=False), NDB(bins=3), AuthPct(), NDB(bins=3, alpha=0.2)],
]
MIXED: list[list[Measure]] = [
    [PRDC(k=2, recall=False), KID(subsets=None), PRDC(k=4)],
    [PRDC(k=2, recall=False), PRDC(k=3, capacity=20, recall=False)],
]
NEVER: list[list[Measure]] = [[MMD(most=30, block=2, permutations=20)], [IntraFID(classes=2)]]
MEASURES = [*BINDING, *MIXED, *NEVER]
ROLES = "real", "train", "fake"
LETTERS = {"r": "real", "t": "train", "f": "fake"}


def named(measures: Any) -> str:
    return "+".join(measure.describe() for measure in measures) if isinstance(measures, list) else str(measures)


def build(measures: Sequence[Measure], **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(list(measures), extractor=None, num_features=WIDTH, widths={"text": WIDTH}, **options)


@cache
def batch(role: str, number: int, n: int = BATCH) -> Features:
    """Return a role's batch of this number, with ids in another order than it comes in."""
    generator = torch.Generator().manual_seed(100 * ROLES.index(role) + number)
    rows = torch.randn(n, WIDTH, generator=generator) + 0.3 * (role == "fake")
    index, text = 5000 - number * 200 - torch.arange(n), torch.randn(n, WIDTH, generator=generator)
    return Features(rows, index=index, labels=torch.arange(n) % 2, text=text, captions=index // 2)


def add(metric: GenerativeMetrics, role: str, *numbers: int) -> None:
    for number in numbers if role in metric.roles else ():
        metric.update(batch(role, number), role=role)


def freeze(metric: GenerativeMetrics, *roles: str) -> GenerativeMetrics:
    for role in roles:
        if role in metric.roles:
            metric.freeze(role)
    return metric


def follow(metric: GenerativeMetrics, steps: str) -> GenerativeMetrics:
    """Do what steps say: ``r0`` adds the real batch 0, ``t`` training ones, ``f`` generated ones; ``R`` and ``T``
    freeze; ``x`` resets, ``c`` computes, ``w`` takes a generated batch by forward(); ``a`` sets the generated samples
    aside, ``b`` puts those back that were the first to be.
    """
    aside = []
    for step in steps.split():
        if step[0] in LETTERS:
            add(metric, LETTERS[step[0]], int(step[1:]))
        elif step[0] == "w":
            metric(batch("fake", int(step[1:])), role="fake")
        elif step == "x":
            metric.reset()
        elif step == "c":
            metric.compute()
        elif step == "a":
            aside.append(metric.set_aside())
        elif step == "b":
            metric.put_back(aside.pop(0))
        else:
            freeze(metric, {"R": "real", "T": "train"}[step])
    return metric


def floats(values: dict[str, torch.Tensor]) -> dict[str, float]:
    return {key: value.item() for key, value in values.items()}


def expected(measures: Sequence[Measure], fakes: Sequence[int] = (0, 1, 2)) -> dict[str, float]:
    """Return the values of a metric that never froze."""
    return _expected(tuple(measures), tuple(fakes))


@cache
def _expected(measures: tuple[Measure, ...], fakes: tuple[int, ...]) -> dict[str, float]:
    metric = build(measures)
    for role in ("real", "train"):
        add(metric, role, 0, 1, 2)
    add(metric, "fake", *fakes)
    return floats(metric.compute())


def close(values: dict[str, float]) -> Any:
    """Return values up to the rounding of another order: of float64, and of KID's products, which are float32."""
    return {
        key: pytest.approx(value, rel=1e-6 if key.startswith("kd_") else 1e-9, abs=1e-12)
        for key, value in values.items()
    }


def is_bound(metric: GenerativeMetrics) -> list[bool]:
    return [metric._states.streams.is_bound(place) for place in range(len(metric._layout.measures))]


def can_bind(measures: Sequence[Measure]) -> list[bool]:
    return [measure.fixed is not None for measure in measures]


def bound(measures: Sequence[Measure], *fakes: int, **options: Any) -> GenerativeMetrics:
    """Return a metric frozen to all sides, with these generated batches."""
    metric = build(measures, **options)
    for role in ("real", "train"):
        add(metric, role, 0, 1, 2)
    freeze(metric, "real", "train")
    add(metric, "fake", *fakes)
    return metric


def kept_of_fakes(metric: GenerativeMetrics) -> int:
    """Return the bytes of storage that generated features take."""
    names = [name for name in metric._defaults if name.startswith("fake_bank")]
    return sum(getattr(metric, name).untyped_storage().nbytes() for name in names)
