"""TopP&R against its authors' package, top-pr, where it is installed, and against the definition written out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scores import normal, score

from streaming_metrics import BiasWarning, NotEnoughSamples, TopPR
from streaming_metrics.measures.topological import projected

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SIDES: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "alike": lambda: (normal(0, 130, 6), normal(1, 110, 6)),
    "apart": lambda: (normal(0, 100, 6), normal(1, 100, 6) + 1),
    "outliers": lambda: (torch.cat([normal(0, 120, 5), 20 * normal(2, 9, 5)]), normal(1, 90, 5)),
    "dropped mode": lambda: (normal(0, 160, 4) + 9 * (torch.arange(160) % 2)[:, None], normal(1, 90, 4)),
    "projected": lambda: (normal(0, 250, 40), normal(1, 220, 40, std=0.9)),
}


def written_out(real: Tensor, fake: Tensor, alpha: float = 0.1) -> list[float]:
    """The definition in NumPy, every distance at once; the factor that all densities share is left out."""
    random, sides = np.random.RandomState(42), [projected(side).numpy() for side in (real, fake)]
    bandwidths, bands, own = [], [], []
    for rows in sides:
        k, n = 5 * rows.shape[1], len(rows)
        balloon = sorted(np.sort(cdist(rows[[i]], rows[i + 1 :])[0])[k - 1] for i in range(n - k))
        bandwidths.append(balloon[int(len(balloon) / 2) - 1])
        own.append(density(rows, rows, bandwidths[-1]))
        drawn = [rows[random.choice(np.arange(n), size=n, replace=True)] for _ in range(10)]
        bands.append(
            np.quantile([np.abs(own[-1] - density(rows, some, bandwidths[-1])).max() for some in drawn], 1 - alpha)
        )
    shares = []
    for one, other in ((1, 0), (0, 1)):
        significant = own[one] > bands[one]
        inside = density(sides[one], sides[other], bandwidths[other]) > bands[other]
        shares.append((significant & inside).sum() / significant.sum())
    precision, recall = shares
    return [precision, recall, 2 / (1 / precision + 1 / recall) if min(shares) > 1e-4 else 0]


def density(points: np.ndarray, rows: np.ndarray, bandwidth: float) -> np.ndarray:
    distances = cdist(points, rows)
    return np.where(distances <= bandwidth, np.cos(np.pi / 2 * distances / bandwidth), 0).mean(1)


@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
def test_it_is_the_definition(sides: Callable[[], tuple[Tensor, Tensor]]) -> None:
    real, fake = sides()
    assert list(score(TopPR(), real, fake).values()) == pytest.approx(written_out(real, fake), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES)
def test_it_is_the_package(sides: Callable[[], tuple[Tensor, Tensor]]) -> None:
    package = pytest.importorskip("top_pr.top_pr", reason="needs pip install top-pr")
    real, fake = sides()
    package.Fix_seed(42)  # it does so itself where it projects
    theirs = package.compute_top_pr(real_features=real, fake_features=fake)
    assert list(score(TopPR(), real, fake).values()) == pytest.approx(list(theirs.values()), rel=1e-12)


def test_outliers_are_no_support() -> None:
    real, far = normal(0, 120, 5), 20 + normal(2, 6, 5)
    clean = score(TopPR(), real, normal(1, 120, 5))
    assert clean["top_precision"] > 0.9
    with_outliers = score(TopPR(), torch.cat([real, far]), torch.cat([normal(1, 120, 5), far]))
    assert with_outliers["top_precision"] == pytest.approx(clean["top_precision"], abs=0.08)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_samples_without_a_bandwidth_have_no_support() -> None:
    with pytest.warns(BiasWarning, match="TopPR: no real sample is significant"):
        got = score(TopPR(), torch.ones(40, 3), normal(1, 40, 3))
    assert got["top_precision"] == got["top_f1"] == 0
    assert np.isnan(got["top_recall"])


def test_too_few_samples_are_told() -> None:
    with pytest.raises(NotEnoughSamples, match="TopPR needs at least 162 fake samples, got 161"):
        score(TopPR(), normal(0, 162, 40), normal(1, 161, 40))
    with pytest.raises(ValueError, match=r"TopPR most: expected at least 162 .* got 100"):
        score(TopPR(most=100), normal(0, 9, 40), normal(1, 9, 40))
    with pytest.raises(ValueError, match="alpha: expected a number less than 1"):
        TopPR(alpha=1.0)
