"""Distances of classes: without bias, with intervals that hold the truth, of the classes that have enough samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scores import normal
from test_contributions import classes, labelled
from test_directions import fitted

from streaming_metrics.measures.class_distances import class_distances, jackknifed
from streaming_metrics.measures.gaussian import frechet_distance


def brute(x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Return the delete-one jackknife of both sides, sample by sample."""
    whole = float(frechet_distance(fitted(x), fitted(y)))
    value, variance = whole, 0.0
    for side, rows in enumerate((x, y)):
        left = []
        for i in range(len(rows)):
            pair = [x, y]
            pair[side] = torch.cat([rows[:i], rows[i + 1 :]])
            left.append(float(frechet_distance(*map(fitted, pair))))
        value -= (len(rows) - 1) * (np.mean(left) - whole)
        variance += (len(rows) - 1) * np.var(left)
    return value, variance**0.5


@pytest.mark.parametrize("d", [1, 3])
def test_the_jackknife_is_that_of_single_samples(d: int) -> None:
    x, y = normal(0, 30, d).double(), normal(1, 21, d).double() + 0.3
    assert jackknifed(x, y) == pytest.approx(brute(x, y), rel=1e-6)


def test_of_many_samples_parts_are_left_out() -> None:
    x, y = normal(0, 1050, 3).double(), normal(1, 730, 3).double() * 1.2
    value, error = jackknifed(x, y)
    true = 3 * 0.2**2
    assert abs(value - true) < 4 * error
    assert error < 0.05


def test_the_class_that_is_far_comes_first_and_small_ones_are_left_out() -> None:
    real, fake = classes(0, 2000, 10), classes(1, 1000, 10, fault=4)
    keeps = (fake.labels != 6) | (torch.arange(1000) < 60)
    assert fake.labels is not None
    few = labelled(fake.rows[keeps], fake.labels[keeps])
    found = class_distances(real, few, fitted(real.rows))
    assert found is not None
    assert found.left_out == 1
    assert 6 not in found.table.raw.groups
    assert found.table.raw.groups[found.table.by_value[0]] == 4
    assert found.dimensions == 10
    assert found.fake.tolist() == [100] * 9
    assert found.real.tolist() == [200] * 9
    assert found.table.high[0] < found.table.low[4]


def test_without_labels_there_are_none() -> None:
    real, fake = classes(0, 100, 5), classes(1, 100, 5)
    unlabelled = labelled(real.rows, torch.zeros(100, dtype=torch.int64))
    assert class_distances(unlabelled, fake, fitted(real.rows)) is None


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(20, 2), (50, 5), (100, 10), (200, 16), (500, 16)])
@pytest.mark.parametrize("apart", [0.0, 0.4])
def test_intervals_hold_the_truth_without_bias(n: int, d: int, apart: float) -> None:
    """40 classes of n samples a side of d features: N(0, Σ) against N(Δ, c²Σ)."""
    from streaming_metrics.verdicts.group_means import GroupMeans
    from streaming_metrics.verdicts.shrunken_means import ShrunkenMeans

    scale = torch.arange(1, d + 1).double() ** -0.5
    held, shrunk, bias, raw, gain = [], [], [], [], []
    for repetition in range(6):
        generator = torch.Generator().manual_seed(repetition)
        truths, told = [], []
        for _ in range(40):
            size, spread = apart * torch.rand((), generator=generator), 1 + apart * torch.rand((), generator=generator)
            x, y = (torch.randn(n, d, generator=generator, dtype=torch.float64) * scale for _ in range(2))
            y = y * spread + size * scale
            truths.append(float((size * scale).square().sum() + ((spread - 1) * scale).square().sum()))
            told.append(jackknifed(x, y))
            raw.append(float(frechet_distance(fitted(x), fitted(y))) - truths[-1])
        (values, errors), truth = np.array(told).T, np.array(truths)
        held += list(abs(values - truth) <= 1.96 * errors)
        bias += list(values - truth)
        pooled = np.full(40, np.sqrt((errors**2).mean()))
        table = ShrunkenMeans.of(GroupMeans(np.arange(40), np.full(40, n), values, pooled))
        shrunk += list((table.low <= truth) & (truth <= table.high))
        gain.append(((table.values - truth) ** 2).mean() / ((values - truth) ** 2).mean())
    assert np.mean(held) >= 0.9
    assert np.mean(shrunk) >= 0.88
    assert np.mean(gain) < 1.1
    assert abs(np.mean(bias)) < 0.1 * np.mean(raw) + 3 * np.std(bias) / len(bias) ** 0.5
