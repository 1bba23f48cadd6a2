"""CMMD: both forms against the biased Gaussian kernel of unit rows, closed forms, what sums leave out, edges."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import pytest
import torch
from scores import normal, score

from streaming_metrics import CMMD, BiasWarning, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.measures import cmmd as cmmd_module
from streaming_metrics.measures.errors import with_errors

if TYPE_CHECKING:
    from torch import Tensor

REAL, FAKE = normal(0, 80, 12) + 0.5, normal(1, 60, 12) - 0.2
LEFT_OUT = 1000 * exp(-0.01) * 4 / 6 * 1e-6
"""The most that sums of first and second powers leave out."""


def cmmd(real: Tensor, fake: Tensor, *, exact: bool = False) -> float:
    return score(CMMD(exact=exact), real, fake)["cmmd"]


def by_definition(real: Tensor, fake: Tensor, sigma: float = 10.0) -> float:
    """1000·MMD², biased, with the kernel of the distances between unit rows, in float64."""
    x, y = (side.double() / side.double().norm(dim=1, keepdim=True) for side in (real, fake))
    xx, yy, xy = (torch.cdist(a, b).square().div(-2 * sigma**2).exp().mean() for a, b in ((x, x), (y, y), (x, y)))
    return 1000 * (xx + yy - 2 * xy).item()


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_both_forms_are_what_the_definition_says(scale: float) -> None:
    expected = by_definition(REAL, FAKE)
    assert cmmd(scale * REAL, scale * FAKE, exact=True) == pytest.approx(expected, rel=1e-6)
    additive = cmmd(scale * REAL, scale * FAKE)
    assert additive == pytest.approx(expected, rel=1e-4)
    assert 0 < expected - additive < LEFT_OUT


def test_antipodal_points() -> None:
    point = normal(2, 1, 5)
    closed = 2000 * (1 - exp(-0.02))
    assert cmmd(point, -2 * point, exact=True) == pytest.approx(closed, rel=1e-7)
    assert closed - cmmd(point, -2 * point) == pytest.approx(LEFT_OUT, rel=1e-2)  # where most is left out


@pytest.mark.parametrize("exact", [False, True])
def test_a_side_is_at_no_distance_from_itself_or_from_its_multiples(exact: bool) -> None:
    assert cmmd(REAL, REAL, exact=exact) == pytest.approx(0, abs=1e-9)
    assert cmmd(REAL, 3 * REAL, exact=exact) == pytest.approx(0, abs=1e-5 if exact else 1e-9)  # rows are float32
    line = normal(3, 9, 1).abs()
    assert cmmd(line, line[:1], exact=exact) == pytest.approx(0, abs=1e-9)  # in one dimension, one direction


def test_two_samples_of_one_distribution_are_at_what_is_told_at_most() -> None:
    values = [cmmd(normal(seed, 50, 500), normal(seed + 100, 70, 500)) for seed in range(20)]
    share = sum(values) / len(values) / (10 * (1 / 50 + 1 / 70))
    assert 0.95 < share < 1.03  # all directions are alike here, which is the most


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_rows_without_direction_are_left_out_and_sides_of_them_refused() -> None:
    zeros = torch.zeros(3, 12)
    for exact in (False, True):
        expected = cmmd(REAL, FAKE, exact=exact)
        with pytest.warns(BiasWarning, match=f"CMMD: 3 of {len(FAKE) + 3} fake samples have features of zeros"):
            assert cmmd(REAL, torch.cat([zeros, FAKE]), exact=exact) == pytest.approx(expected, rel=1e-9)
        with pytest.raises(NotEnoughSamples, match="CMMD needs at least 1 fake sample whose features are not all 0"):
            cmmd(REAL, zeros, exact=exact)
        with pytest.raises(NotEnoughSamples, match="CMMD needs at least 1 real samples, got 0"):
            cmmd(REAL[:0], FAKE, exact=exact)


def test_exact_kernels_are_summed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cmmd(REAL, FAKE, exact=True)
    monkeypatch.setattr(cmmd_module, "ROWS", 7)
    assert cmmd(REAL, FAKE, exact=True) == pytest.approx(whole, rel=1e-12)


def test_its_error_is_the_standard_deviation_over_draws() -> None:
    """Of the generated side, given the real one: by a jackknife."""
    (measure,) = with_errors([CMMD()])
    found = [score(measure, REAL, normal(seed, 200, 12) - 0.2) for seed in range(30)]
    deviation = torch.tensor([one["cmmd"] for one in found]).std().item()
    told = torch.tensor([one["cmmd_se"] for one in found]).square().mean().sqrt().item()
    assert 0.75 < told / deviation < 1.5


def test_its_key_and_its_own_network() -> None:
    assert CMMD.network == "clip-vit-l14-336"
    metric = GenerativeMetrics([CMMD()], None, num_features=4)
    assert metric.keys == ("cmmd_features",)
