"""Probabilistic precision and recall, against the authors' procedure in SciPy, and where supports are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scores import normal, score

from streaming_metrics import PPPR, BiasWarning, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.measures.keys import scalar_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def authors(real: Tensor, fake: Tensor, k: int = 4, a: float = 1.2) -> tuple[float, float]:
    """The definition, all pairs at once: each support is 1 − d/R within R, and 0 beyond."""
    x, y = real.double().numpy(), fake.double().numpy()
    found = []
    for centres, points in ((x, y), (y, x)):
        reach = a * np.sort(cdist(centres, centres), 1)[:, k].mean()
        supports = np.clip(1 - cdist(centres, points) / reach, 0, None)
        found.append(float((1 - (1 - supports).prod(0)).mean()))
    return found[0], found[1]


SIDES: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "alike": lambda: (normal(0, 200, 8), normal(1, 150, 8)),
    "apart": lambda: (normal(0, 100, 8), normal(1, 100, 8) + 2),
    "dropped modes": lambda: (normal(0, 200, 8) + 9 * (torch.arange(200) % 2)[:, None], normal(1, 90, 8)),
    "copies": lambda: (normal(0, 90, 8), normal(0, 90, 8)[::2].repeat(2, 1)),
    "wide": lambda: (normal(0, 60, 700), normal(1, 60, 700)),
    "width 1": lambda: (normal(0, 60, 1), normal(1, 60, 1)),
}


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("options", [{}, {"k": 2, "a": 0.7}])
@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
def test_it_is_the_authors(sides: Callable[[], tuple[Tensor, Tensor]], options: dict[str, Any]) -> None:
    real, fake = sides()
    got = score(PPPR(**options), real, fake, batch_size=64)
    assert list(got.values()) == pytest.approx(authors(real, fake, **options), rel=1e-9)


def test_identical_sides_are_all_supported() -> None:
    real = normal(0, 50, 4)
    assert list(score(PPPR(), real, real).values()) == [1, 1]


def test_frozen_supports_give_precision_and_its_error_of_sums() -> None:
    real, fake = normal(0, 200, 8), normal(1, 150, 8)
    metric = GenerativeMetrics([PPPR(recall=False, se=True)], extractor=None, num_features=8)
    metric.update(real, real=True)
    metric.freeze_real()
    for batch in fake.split(37):
        metric.update(batch, real=False)
    reach = 1.2 * np.sort(cdist(real.double(), real.double()), 1)[:, 4].mean()
    each = 1 - np.minimum(1, cdist(real.double(), fake.double()) / reach).prod(0)
    values = metric.compute()
    assert values["p_precision_features"].item() == pytest.approx(each.mean(), rel=1e-6)
    assert values["p_precision_se_features"].item() == pytest.approx(each.std(ddof=1) / 150**0.5, rel=1e-6)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_without_supports_nothing_lies_in_them() -> None:
    with pytest.warns(BiasWarning, match="PPPR: all real samples have identical others"):
        got = score(PPPR(recall=False), torch.zeros(9, 3), normal(1, 9, 3))
    assert list(got.values()) == [0]


@pytest.mark.parametrize(("away", "share"), [(99, 0), (0, 1)])
def test_samples_that_all_have_or_lack_support_have_the_error_of_a_share(away: float, share: float) -> None:
    """A mean of equal values has no spread, and is not for that certain."""
    real = normal(0, 60, 3)
    found = score(PPPR(recall=False, se=True), real, real + away)
    assert found["p_precision"] == share
    low, high = scalar_of("p_precision").interval(share, found["p_precision_se"])
    assert 3 / 60 < high - low < 0.08  # the rule of three


def test_too_few_samples_are_told() -> None:
    with pytest.raises(NotEnoughSamples, match=r"PPPR\(k=4\) needs at least 6 fake samples, got 5"):
        score(PPPR(), normal(0, 6, 3), normal(1, 5, 3))
