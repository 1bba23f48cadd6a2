"""Paired comparisons, looks and intervals where what they are given is not as it should be, or next to nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scores import normal

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.verdicts.evidence import Evidence, Influence
from streaming_metrics.verdicts.intervals import interval
from streaming_metrics.verdicts.looks import boundary, looks
from streaming_metrics.verdicts.paired import paired


def influence(index: list[int], values: list[float], n: int = 100) -> Influence:
    return Influence(np.array(index, np.int64), np.array(values), n)


def evidence(value: float = 3.0) -> Evidence:
    return Evidence("fid", value, influence([0, 1, 2, 3], [1.0, -2.0, 4.0, -3.0]))


def scored(batch: int, order: torch.Tensor) -> Evidence:
    """The evidence of the same samples, in batches and an order."""
    metric = GenerativeMetrics([FID(se=True)], extractor=None, num_features=4)
    real, fake = normal(0, 200, 4), normal(1, 300, 4, 0.3, 1.2)
    metric.update(real, real=True, index=torch.arange(len(real)))
    for ids in order.split(batch):
        metric.update(fake[ids], real=False, index=ids)
    metric.compute()
    return metric.evidence["fd_features"]


def test_the_same_samples_in_other_batches_are_not_told_apart() -> None:
    ids = torch.arange(300)
    whole = scored(300, ids)
    for batch, order in ((7, ids), (13, ids.flip(0)), (64, torch.randperm(300))):
        found = paired(scored(batch, order), whole)
        assert found.verdict() == "undecided"
        assert found.p_value > 0.9
        assert found.low < 0 < found.high


def test_samples_are_matched_by_id_in_whatever_order() -> None:
    one, other = influence([0, 1, 2], [1.0, 2.0, 5.0]), influence([2, 0, 1], [4.0, 1.0, 2.0])
    found = one.minus(other)
    assert (found.index.tolist(), found.values.tolist()) == ([0, 1, 2], [0.0, 0.0, 1.0])


@pytest.mark.parametrize("twice", [[0, 0, 1, 2], [0, 1, 1, 2]])
def test_ids_that_come_twice_are_refused(twice: list[int]) -> None:
    one, other = influence([0, 0, 1, 2], [1.0] * 4), influence(twice, [1.0] * 4)
    with pytest.raises(ValueError, match="expected an id for each sample, got 3 ids of 4 and 4"):
        one.minus(other)


def test_scores_of_which_one_takes_the_reference_as_given_do_not_compare() -> None:
    with pytest.raises(ValueError, match="Remedy: the same both="):
        paired(evidence(), replace(evidence(), both=True))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_undecided(value: float) -> None:
    found = paired(evidence(value), evidence(value))
    assert math.isnan(found.difference)
    assert math.isnan(found.p_value)
    assert found.verdict() == "undecided"


def test_no_samples_are_undecided() -> None:
    none = Evidence("fid", 1.0, influence([], []))
    assert paired(none, none).verdict() == "undecided"


def test_looks_are_of_samples() -> None:
    assert looks(7, 0) == [1, 3, 7]
    assert looks(1, 1) == [1]


@pytest.mark.parametrize(("num_looks", "alpha"), [(3, 0.9), (12, 0.5), (4, 0.05), (2, 1e-6)])
def test_boundaries_of_any_error_rate_hold_it(num_looks: int, alpha: float) -> None:
    constant, shares = boundary(num_looks, alpha), 0.5 ** np.arange(num_looks - 1, -1, -1)
    steps = np.random.default_rng(0).standard_normal((100_000, num_looks)) * np.sqrt(np.diff(shares, prepend=0))
    leaves = (np.abs(steps.cumsum(1)) > constant * shares**0.25).any(1)
    assert leaves.mean() == pytest.approx(alpha, abs=4 * math.sqrt(alpha * (1 - alpha) / len(steps)))


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
def test_no_error_rate_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha: expected an error rate in \(0, 1\)"):
        boundary(2, alpha)


@pytest.mark.parametrize("error", [0.26, 0.5, 3.0])
def test_an_error_as_large_as_that_of_no_sample_tells_nothing_of_a_share(error: float) -> None:
    assert interval(0.3, error, "share") == (0.0, 1.0)


def test_the_real_side_is_in_the_error_of_a_difference() -> None:
    mine, theirs = (influence([0, 1, 2], values, n=50) for values in ([1.0, 5.0, -2.0], [2.0, -1.0, 3.0]))
    one, other = (replace(evidence(value), real=real) for value, real in ((3.0, mine), (2.0, theirs)))
    assert paired(one, other).error == pytest.approx(np.std([-1.0, 6.0, -5.0], ddof=1) / 50**0.5)  # fakes are alike
