"""Numbers where float arithmetic gives out: collapsed sides, scales far apart, features that float32 cannot hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scores import normal, score

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.measures import frechet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def fid(real: Tensor, fake: Tensor) -> float:
    return score(FID(), real.double(), fake.double(), batch_size=400)["fid"]


def nuclear(real: Tensor, fake: Tensor) -> float:
    """FID without covariances: the trace of the root is the nuclear norm of Xc·Ycᵀ, which squares nothing."""
    x, y = real.double().numpy(), fake.double().numpy()
    xc, yc = (side - side.mean(0) for side in (x, y))
    n, m = len(x) - 1, len(y) - 1
    root = np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / math.sqrt(n * m)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + (xc**2).sum() / n + (yc**2).sum() / m - 2 * root


def within(seed: int, n: int, rank: int, width: int, smallest: float = 1.0) -> Tensor:
    """Float64 rows in a subspace, its directions of scales 1 down to ``smallest``."""
    directions = torch.linalg.qr(normal(seed, width, rank).double())[0].T
    scales = torch.logspace(0, math.log10(smallest), rank, dtype=torch.float64)
    return normal(seed + 1, n, rank).double() * scales @ directions


# --- FID: the root of the side of lower rank --------------------------------------------------------------------------

WIDTH = 192
COLLAPSED: dict[str, Callable[[], Tensor]] = {
    "one image": lambda: normal(1, 1, WIDTH).repeat(400, 1),
    "two images": lambda: normal(1, 2, WIDTH).repeat(200, 1),
    "20 images": lambda: normal(1, 20, WIDTH).repeat(20, 1),
    "3 dimensions": lambda: within(1, 400, 3, WIDTH),
    "100 dimensions": lambda: within(1, 400, 100, WIDTH),
    "a dead feature": lambda: normal(1, 400, WIDTH) * (torch.arange(WIDTH) != 5),
    "few": lambda: normal(1, 30, WIDTH),
    "few, of 9 images": lambda: normal(1, 9, WIDTH).repeat(4, 1),
}


@pytest.mark.parametrize("collapsed", COLLAPSED.values(), ids=COLLAPSED)
def test_a_collapsed_side_is_as_exact_generated_as_real(collapsed: Callable[[], Tensor]) -> None:
    whole, side = normal(0, 400, WIDTH), collapsed()
    assert fid(whole, side) == pytest.approx(nuclear(whole, side), rel=1e-12)
    assert fid(side, whole) == pytest.approx(nuclear(whole, side), rel=1e-12)


def test_two_collapsed_sides_of_different_rank() -> None:
    wide, narrow = within(0, 400, 60, WIDTH), within(2, 400, 5, WIDTH)
    for real, fake in ((wide, narrow), (narrow, wide)):
        assert fid(real, fake) == pytest.approx(nuclear(real, fake), rel=1e-12)


def test_a_frozen_side_makes_its_root_once_and_only_where_it_is_the_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    square_root = frechet.square_root
    monkeypatch.setattr(frechet, "square_root", lambda *given: made.append(given[1]) or square_root(*given))
    metric = GenerativeMetrics([FID()], extractor=None, num_features=64)
    real = normal(0, 300, 64).double()
    metric.update(real, real=True)
    metric.freeze_real()
    epochs = [normal(1, 20, 64), normal(2, 300, 64), within(3, 300, 3, 64), normal(4, 400, 64), normal(5, 10, 64)]
    for fake in epochs:
        metric.reset()
        metric.update(fake.double(), real=False)
        assert metric.compute()["fd_features"].item() == pytest.approx(nuclear(real, fake), rel=1e-12)
    assert made == [19, 64, 64, 9]  # the few; the real side, once; the three dimensions; the few


SCALES = {"rising": (-7, 0), "falling": (0, -7), "rising from 1e-9": (-9, 0)}


@pytest.mark.parametrize(("first", "last"), SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("width", [16, 64])
def test_columns_of_any_scale_in_any_order(first: int, last: int, width: int) -> None:
    scales = torch.logspace(first, last, width, dtype=torch.float64)
    real, fake = (normal(seed, 300, width).double() * scales for seed in (0, 1))
    trace = (real.var(0) + fake.var(0)).sum().item()
    assert fid(real, fake) == pytest.approx(nuclear(real, fake), rel=0, abs=2e-14 * trace)


SPECTRA = {
    "decaying to 1e-3, against all": (within(0, 300, 20, 64, 1e-3), normal(2, 300, 64)),
    "decaying to 1e-6, both": (within(0, 300, 20, 64, 1e-6), within(2, 300, 20, 64, 1e-6)),
}


def furthest() -> float:
    pairs = [pair for real, fake in SPECTRA.values() for pair in ((real, fake), (fake, real))]
    return max(abs(fid(*pair) / nuclear(*pair) - 1) for pair in pairs)


def test_what_rounding_accounts_for_is_left_out_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert furthest() < 3e-12
    for far in (-20, -40, -60):
        monkeypatch.setattr(frechet, "ROUNDING", 2.0**far)
        assert furthest() > 1e-11
