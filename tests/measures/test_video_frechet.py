"""Fréchet video distance: its protocols against their definitions, given features."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from scores import normal, score
from torch import Tensor

from streaming_metrics import FID, FVD
from streaming_metrics.measures.registry import measures_of

REAL, FAKE = normal(0, 60, 7).double(), 1.5 * normal(1, 50, 7).double() + 0.3


def of_definition(real: Tensor, fake: Tensor, ddof: int) -> float:
    """Return the distance with SciPy's root of a product of covariances."""
    x, y = real.numpy(), fake.numpy()
    sx, sy = np.cov(x, rowvar=False, ddof=ddof), np.cov(y, rowvar=False, ddof=ddof)
    root = scipy.linalg.sqrtm(sx @ sy)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(sx + sy) - 2 * np.trace(root).real)


@pytest.mark.parametrize(("protocol", "ddof"), [("styleganv", 1), ("videogpt", 1), ("cd-fvd", 0)])
def test_each_protocol_equals_its_definition(protocol: str, ddof: int) -> None:
    value = score(FVD(protocol), REAL, FAKE)["fvd"]
    assert value == pytest.approx(of_definition(REAL, FAKE, ddof), rel=1e-9)


def test_videogpt_and_styleganv_are_the_frechet_distance_and_cd_fvd_is_not() -> None:
    values = [score(measure, REAL, FAKE) for measure in (FVD(), FVD("videogpt"), FVD("cd-fvd"), FID())]
    assert values[0]["fvd"] == values[1]["fvd"] == values[3]["fid"]
    assert values[2]["fvd"] < values[0]["fvd"]


def test_a_shift_is_its_square_and_a_scale_what_it_moves() -> None:
    assert score(FVD("cd-fvd"), REAL, REAL + 2)["fvd"] == pytest.approx(7 * 4, rel=1e-9)
    spread = (REAL - REAL.mean(0)).square().sum().item() / len(REAL)
    centred = REAL - REAL.mean(0)
    assert score(FVD("cd-fvd"), centred, 3 * centred)["fvd"] == pytest.approx(4 * spread, rel=1e-9)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning", "ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("protocol", ["styleganv", "cd-fvd"])
def test_edges(protocol: str) -> None:
    measure = FVD(protocol)
    assert score(measure, REAL, REAL)["fvd"] == pytest.approx(0, abs=1e-12)
    assert score(measure, torch.ones(4, 1), torch.full((3, 1), 3.0))["fvd"] == 4
    with pytest.raises(RuntimeError, match="FVD needs at least 2 fake samples, got 1"):
        score(measure, REAL, FAKE[:1])


def test_few_clips_warn() -> None:
    from streaming_metrics import BiasWarning

    with pytest.warns(BiasWarning, match="FVD from 7 fake samples of 7 features"):
        score(FVD(), REAL, FAKE[:7])


def test_its_jackknife_is_near_the_spread_of_draws() -> None:
    values = [score(FVD(), normal(1, 400, 3), 1.5 * normal(seed, 400, 3))["fvd"] for seed in range(2, 42)]
    (measure,) = measures_of("fvd(se=True)")
    errors = [score(measure, normal(1, 400, 3), 1.5 * normal(seed, 400, 3))["fvd_se"] for seed in range(2, 12)]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.4)


def test_a_protocol_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"Unknown protocol of FVD 'cdfvd'\. Did you mean 'cd-fvd'"):
        FVD("cdfvd")
    (measure,) = measures_of("fvd(protocol=cd-fvd)")
    assert measure == FVD("cd-fvd")
    assert (measure.describe(), measure.network) == ("fvd(protocol=cd-fvd)", "videomae-v2")
