"""NNAA by scikit-learn's neighbours, by brute force on ties, by its null mean, and the privacy loss of copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from streaming_metrics import NNAA, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.statistics.index import hashed

SEEDS = st.integers(0, 2**31 - 1)
repeating = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")


def ours(real: Tensor, fake: Tensor, train: Tensor | None = None, **options: Any) -> dict[str, float]:
    measure = NNAA(privacy=train is not None, **options)
    metric = GenerativeMetrics([measure], extractor=None, num_features=real.shape[1])
    for role, rows in (("real", real), ("fake", fake), ("train", train)):
        for batch in () if rows is None else torch.arange(len(rows)).split(37):
            metric.update(Features(rows[batch], index=batch), role=role)  # pyright: ignore[reportOptionalSubscript]
    return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))


def scikit_learns(x: np.ndarray, y: np.ndarray) -> float:
    def apart(rows: np.ndarray, others: np.ndarray) -> float:
        own = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors()[0]
        return float((NearestNeighbors(n_neighbors=1).fit(others).kneighbors(rows)[0] > own).mean())

    return (apart(x, y) + apart(y, x)) / 2


def brute_force(real: Tensor, fake: Tensor) -> float:
    """As the paper says it, with exact squares of differences."""
    rows = torch.cat([real, fake]).double().numpy()
    squared, n = ((rows[:, None] - rows[None]) ** 2).sum(2), len(real)
    np.fill_diagonal(squared, np.inf)
    on_real = (squared[:n, n:].min(1) > squared[:n, :n].min(1)).mean()
    return float((on_real + (squared[n:, :n].min(1) > squared[n:, n:].min(1)).mean()) / 2)


@pytest.mark.parametrize(("n", "m", "width"), [(2, 2, 1), (60, 90, 3), (150, 40, 64), (33, 33, 512)])
@given(seed=SEEDS)
@settings(max_examples=5)
def test_value_is_scikit_learns(n: int, m: int, width: int, seed: int) -> None:
    real, fake = normal(seed, n, width), normal(seed + 1, m, width, 0.1, 0.9)
    expected = scikit_learns(real.double().numpy(), fake.double().numpy())
    assert ours(real, fake)["nnaa"] == pytest.approx(expected)


@repeating
@pytest.mark.parametrize(("width", "levels"), [(1, 50), (2, 6), (3, 4), (40, 2)])
@given(seed=SEEDS, origin=st.sampled_from([0.0, 0.25, 1e3, 1e5]))
@settings(max_examples=8)
def test_ties_are_strict(width: int, levels: int, seed: int, origin: float) -> None:
    random = torch.Generator().manual_seed(seed)
    real, fake = (torch.randint(levels, (n, width), generator=random).float() + origin for n in (45, 35))
    assert ours(real, fake)["nnaa"] == pytest.approx(brute_force(real, fake))


@pytest.mark.parametrize(("n", "m", "width"), [(40, 40, 3), (20, 60, 2), (10, 5, 16), (2, 2, 1)])
@pytest.mark.slow
def test_equal_distributions_have_the_null_mean(n: int, m: int, width: int) -> None:
    """A real sample's nearest is among n − 1 real and m generated ones, each as likely."""
    values = [ours(normal(2 * seed, n, width), normal(2 * seed + 1, m, width))["nnaa"] for seed in range(100)]
    expected = ((n - 1) / (n + m - 1) + (m - 1) / (n + m - 1)) / 2
    assert expected == pytest.approx((n + m - 2) / (2 * (n + m - 1)))
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / 10


@repeating
def test_copies_sides_apart_and_a_collapsed_generator() -> None:
    real = normal(0, 50, 4)
    assert ours(real, real)["nnaa"] == 0
    assert ours(real, real + 1e-3)["nnaa"] < 0.05
    assert ours(real, real + 100)["nnaa"] == 1
    assert ours(real, real[:1].repeat(30, 1) + 50)["nnaa"] == 1
    collapsed = real[:1].repeat(30, 1)  # its own half is 0
    assert ours(real, collapsed)["nnaa"] == pytest.approx(brute_force(real, collapsed))


def test_a_generator_that_copies_its_training_samples_loses_privacy() -> None:
    train, test = normal(0, 200, 6), normal(1, 200, 6)
    honest, copies = normal(2, 200, 6), train + 0.01 * normal(3, 200, 6)
    lost, kept = ours(test, copies, train), ours(test, honest, train)
    assert lost["nnaa_train"] < 0.02
    assert lost["privacy_loss"] == lost["nnaa"] - lost["nnaa_train"] > 0.4
    assert abs(kept["privacy_loss"]) < 4 * 0.035
    assert (lost["nnaa"], lost["nnaa_train"]) == (ours(test, copies)["nnaa"], ours(train, copies)["nnaa"])


def test_of_larger_sides_a_sample_is_kept_that_ids_choose() -> None:
    real, fake = normal(0, 90, 3), normal(1, 120, 3)
    chosen = [rows[hashed(torch.arange(len(rows))).argsort()[:30]] for rows in (real, fake)]
    assert ours(real, fake, most=30) == ours(*chosen)
    assert ours(real, fake, most=None)["nnaa"] == pytest.approx(brute_force(real, fake))


@pytest.mark.parametrize(
    ("n", "m", "t", "told"),
    [(1, 5, 5, "real samples, got 1"), (5, 1, 5, "fake samples, got 1"), (5, 5, 1, "train samples")],
)
def test_too_few_are_refused(n: int, m: int, t: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"NNAA needs at least 2 {told}"):
        ours(normal(0, n, 2), normal(1, m, 2), normal(2, t, 2))


def test_no_accuracy_is_best_and_a_small_loss_is() -> None:
    assert [(scalar.key, scalar.better) for scalar in NNAA(privacy=True).scalars] == [
        ("nnaa", None),
        ("nnaa_train", None),
        ("privacy_loss", "lower"),
    ]
