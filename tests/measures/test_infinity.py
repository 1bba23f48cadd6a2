"""FID∞ and IS∞: nested subsets against their definition, three of them against fifteen, bias and spread by draws."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from scores import normal

from streaming_metrics import BiasWarning, Features, FIDInfinity, GenerativeMetrics, ISInfinity, NotEnoughSamples
from streaming_metrics.measures.registry import measures_of
from streaming_metrics.statistics import Moments, Prefixes
from streaming_metrics.statistics.index import in_first_half
from streaming_metrics.statistics.prefixes import SHARES, WEIGHTS, intercept

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
few = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
FIFTEEN = np.linspace(0.1, 1, 15)


def fid_inf(real: torch.Tensor, fake: torch.Tensor, start: int = 0) -> float:
    metric = GenerativeMetrics([FIDInfinity()], extractor=None, num_features=real.shape[1])
    metric.update(real, real=True)
    for rows in torch.arange(len(fake)).split(len(fake) // 3):
        metric.update(fake[rows], real=False, index=start + rows)
    return metric.compute()["fd_inf_features"].item()


def is_inf(logits: torch.Tensor) -> float:
    metric = GenerativeMetrics([ISInfinity()], extractor=None, num_classes=logits.shape[1])
    for rows in torch.arange(len(logits)).split(37):
        metric.update(Features(logits=logits[rows], index=rows), real=False)
    return metric.compute()["is_inf_features"].item()


def mixed(index: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser after one step."""
    z = index.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def by_definition(values_of: Any, n: int) -> float:
    """The intercept over subsets of the smallest hashed ids, by NumPy's weighted fit."""
    with np.errstate(over="ignore"):
        place = mixed(mixed(np.arange(n))) / 2.0**64
    subsets = [np.flatnonzero(place < share) for share in SHARES]
    sizes = np.array([len(subset) for subset in subsets])
    return float(np.polyfit(1 / sizes, [values_of(subset) for subset in subsets], 1, w=np.sqrt(WEIGHTS))[1])


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    cx, cy = np.cov(x.T), np.cov(y.T)
    root = np.sqrt(np.maximum(np.real(np.linalg.eigvals(cx @ cy)), 0)).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy) - 2 * root)


def inception_score(p: np.ndarray) -> float:
    return float(np.exp((p * np.log(p / p.mean(0))).sum(1).mean()))


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "width"), [(90, 2), (300, 5)])
def test_fid_inf_is_the_definition(n: int, width: int) -> None:
    real, fake = normal(0, 80, width).double(), normal(1, n, width, 0.3, 0.8).double()
    expected = by_definition(lambda subset: frechet(real.numpy(), fake.numpy()[subset]), n)
    assert fid_inf(real, fake) == pytest.approx(expected, rel=1e-9)


def test_is_inf_is_the_definition() -> None:
    logits = 2 * normal(0, 200, 6).double()
    p = logits.softmax(1).numpy()
    assert is_inf(logits) == pytest.approx(by_definition(lambda subset: inception_score(p[subset]), 200), rel=1e-12)


@pytest.mark.parametrize("curve", [(2.0, 0, 0, 0), (0, 3.0, 0, 0), (1.0, -5, 40, 0), (1.0, 2, -30, 700)])
def test_three_subsets_give_what_fifteen_do(curve: tuple[float, ...]) -> None:
    """Of any values that are a polynomial of third degree in the inverse of the size."""
    values = np.polynomial.Polynomial(curve)
    sizes = 1000 * FIFTEEN
    expected = np.polyfit(1 / sizes, values(1 / sizes), 1)[1]
    three = 1000 * torch.tensor(SHARES).double()
    assert intercept(three, torch.from_numpy(values((1 / three).numpy()))).item() == pytest.approx(expected, abs=1e-10)


@few
def test_a_distance_that_sizes_do_not_change_is_kept() -> None:
    """Both sides constant: no covariance, and so no bias."""
    assert fid_inf(torch.zeros(30, 3), torch.full((60, 3), 2.0)) == pytest.approx(12, rel=1e-12)


def test_constant_predictions_have_a_score_of_1() -> None:
    assert is_inf(torch.zeros(60, 4)) == pytest.approx(1, rel=1e-12)


# --- bias and spread --------------------------------------------------------------------------------------------------


def test_bias_of_first_order_is_gone_and_the_mean_is_that_of_fifteen_subsets() -> None:
    """Of samples of the real distribution, with N = 50·D; the real side is exact."""
    width, n, draws = 6, 300, 40
    real = torch.from_numpy(_whitened(width))
    raw, ours, own = [], [], []
    random = np.random.default_rng(0)
    for seed in range(draws):
        fake = normal(1 + seed, n, width).double()
        raw.append(frechet(_whitened(width), fake.numpy()))
        ours.append(fid_inf(real, fake, start=1000 * seed))
        sizes = (n * FIFTEEN).astype(int)
        subsets = [random.choice(n, size, replace=False) for size in sizes]
        own.append(np.polyfit(1 / sizes, [frechet(_whitened(width), fake.numpy()[one]) for one in subsets], 1)[1])
    bias, error = np.mean(raw), np.std(ours) / draws**0.5
    assert abs(np.mean(ours)) < 0.1 * bias + 3 * error
    assert abs(np.mean(ours) - np.mean(own)) < 3 * np.hypot(error, np.std(own) / draws**0.5)
    assert 1 < np.std(ours) / np.std(raw) < 4


def _whitened(width: int) -> np.ndarray:
    """Rows of mean 0 and unit covariance."""
    return np.concatenate([np.eye(width), -np.eye(width)]) * np.sqrt((2 * width - 1) / 2)


def test_the_score_of_few_samples_is_lifted() -> None:
    """20 one-hot classes, uniform: the score of all is 20, and that of n samples is lower."""
    labels = torch.randint(20, (400,), generator=torch.Generator().manual_seed(0))
    raw = inception_score((torch.nn.functional.one_hot(labels, 20) + 1e-12).double().numpy())
    assert raw < 19.8
    assert abs(is_inf(100.0 * torch.nn.functional.one_hot(labels, 20)) - 20) < 20 - raw


# --- subsets ----------------------------------------------------------------------------------------------------------


def test_subsets_are_nested_of_their_shares_and_drawn_apart_from_halves() -> None:
    index = torch.arange(40_000)
    block = Prefixes(Moments(1)).block_of(index)
    for share, last in zip(SHARES, range(3)):
        inside = (block <= last).double()
        assert abs(inside.mean().item() - share) < 4 * (share * (1 - share) / 40_000) ** 0.5 + 1e-12
        assert (
            abs(inside[in_first_half(index)].mean().item() - share) < 4 * (share * (1 - share) / 20_000) ** 0.5 + 1e-12
        )


def test_clusters_stay_together() -> None:
    block = Prefixes(Moments(1), cluster=4).block_of(torch.arange(400)).view(-1, 4)
    assert (block == block[:, :1]).all()
    assert len(block.unique()) == 3


def test_three_moments_are_all_that_is_kept() -> None:
    kept = Prefixes(Moments(2048)).empty("meta")
    assert sum(tensor.nbytes for tensor in kept.values()) == 3 * 2049**2 * 8 + 3 * 8  # 101 MB; 504 MB of 15


def test_the_last_subset_is_all_samples() -> None:
    prefixes, moments = Prefixes(Moments(2)), Moments(2)
    features = [Features(normal(seed, 30, 2), index=30 * seed + torch.arange(30)) for seed in range(3)]
    state = reduce(prefixes.update, features, prefixes.empty())
    whole = reduce(moments.update, features, moments.empty())
    torch.testing.assert_close(prefixes.nested(state)[-1], whole, rtol=1e-12, atol=1e-12)
    assert prefixes.counts(state)[-1] == 90


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [FIDInfinity(), ISInfinity()])
def test_the_signature_says_how_subsets_are_drawn(measure: Any) -> None:
    assert measure.describe() == f"{measure.label}(subsets=nested)"
    assert measures_of(measure.describe()) == [measure]
    with pytest.raises(ValueError, match="subsets: expected 'nested', got 'own'"):
        type(measure)(subsets="own")


@few
def test_too_few_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="FIDInfinity needs at least 20 fake samples, got 19"):
        fid_inf(normal(0, 9, 2), normal(1, 19, 2))
    with pytest.raises(NotEnoughSamples, match="ISInfinity needs at least 20 fake samples, got 3"):
        is_inf(normal(0, 3, 2))
    beyond = torch.tensor([i for i in range(60) if Prefixes(Moments(1)).block_of(torch.tensor([i])) > 0])
    metric = GenerativeMetrics([FIDInfinity()], extractor=None, num_features=1)
    metric.update(normal(0, 9, 1), real=True)
    metric.update(normal(1, len(beyond), 1), real=False, index=beyond)
    with pytest.raises(NotEnoughSamples, match=r"A subset of 0.106 of the samples needs at least 2, got 0 of"):
        metric.compute()


def test_a_smallest_subset_of_no_more_samples_than_features_is_told() -> None:
    with pytest.warns(BiasWarning, match=r"smallest subset has \d+ samples of 30 features.*Remedy: 300 samples"):
        fid_inf(normal(0, 90, 30), normal(1, 100, 30))
