"""The Inception Score against torch-fidelity, closed forms, and the formula written per sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal, score_logits
from torch_fidelity.metric_isc import isc_features_to_metric

from streaming_metrics import IS, BiasWarning, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.cli.plan import with_count

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # rows repeat on purpose

SEEDS = st.integers(0, 2**31 - 1)


def fidelity(logits: torch.Tensor, splits: int, shuffle: bool) -> list[float]:
    theirs = isc_features_to_metric(logits, splits, shuffle)
    return [theirs["inception_score_mean"], theirs["inception_score_std"]]


def direct(logits: torch.Tensor, splits: list[slice]) -> list[float]:
    """exp of the mean KL divergence of each sample from its split's mean, sample by sample."""
    p = np.exp(logits.double().numpy())
    p /= p.sum(1, keepdims=True)
    scores = [np.exp(np.mean([(q * np.log(q / p[part].mean(0))).sum() for q in p[part]])) for part in splits]
    return [np.mean(scores), np.std(scores)]


def ours(measure: IS, logits: torch.Tensor, index: torch.Tensor | None = None) -> list[float]:
    return list(score_logits(measure, logits, index).values())


# --- splits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "splits"), [(100, 10), (103, 10), (57, 7), (10, 10), (19, 10), (40, 1)])
@pytest.mark.parametrize(("assignment", "shuffle"), [("contiguous", False), ("shuffled", True)])
@given(seed=SEEDS)
@settings(max_examples=3, deadline=None)
def test_splits_are_torch_fidelitys(n: int, splits: int, assignment: Any, shuffle: bool, seed: int) -> None:
    logits = normal(seed, n, 12, std=3.0)
    measure = IS(splits=splits, assignment=assignment, num_samples=n)
    expected = pytest.approx(fidelity(logits, splits, shuffle), rel=1e-9, abs=1e-9)
    assert ours(measure, logits) == expected
    arrival = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert ours(measure, logits[arrival], arrival) == expected


def test_shuffled_is_the_default_where_n_is_known_and_interleaved_elsewhere() -> None:
    logits = normal(0, 57, 5, std=3.0)
    assert ours(IS(num_samples=57), logits) == pytest.approx(fidelity(logits, 10, True), rel=1e-9)
    assert ours(IS(), logits) == ours(IS(assignment="interleaved"), logits)
    assert IS(num_samples=57) != IS(num_samples=58)


@given(SEEDS, st.integers(1, 9), st.integers(9, 70))
@settings(max_examples=15, deadline=None)
def test_interleaved_splits_are_every_sth_sample(seed: int, splits: int, n: int) -> None:
    logits = normal(seed, n, 6, std=2.0)
    expected = direct(logits, [slice(s, None, splits) for s in range(splits)])
    assert ours(IS(splits=splits), logits) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("n", "size"), [(60, 20), (57, 20), (61, 20), (20, 20), (7, 20)])
def test_splits_of_a_size_are_guided_diffusions(n: int, size: int) -> None:
    logits = normal(n, n, 6, std=3.0)
    expected = direct(logits, [slice(start, start + size) for start in range(0, n, size)])
    arrival = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    assert ours(IS(split_size=size, num_samples=n), logits[arrival], arrival) == pytest.approx(expected, rel=1e-9)


def test_splits_of_a_size_are_contiguous_ones_where_it_divides_n() -> None:
    measures = [IS(splits=4, assignment="contiguous", num_samples=60), IS(split_size=15, num_samples=60)]
    metric = GenerativeMetrics(measures, extractor=None, num_classes=5)
    metric.update(Features(logits=normal(0, 60, 5, std=3.0), index=torch.arange(60)), real=False)
    one, other = (metric.compute()[key] for key in ("is_features", "is_num_samples60_split_size15_features"))
    assert one == other
    assert sum("marginals" in name for name in metric.state_dict()) <= 1


def test_a_sample_that_a_short_last_split_has_no_place_for_is_refused() -> None:
    with pytest.raises(ValueError, match="some index came twice"):
        ours(IS(split_size=20, num_samples=57), normal(0, 57, 5), torch.arange(57) + 1)


@pytest.mark.parametrize("more", [{"splits": 5}, {"assignment": "shuffled", "num_samples": 40}])
def test_a_size_and_what_it_replaces_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"IS split_size: .* Remedy: IS\(split_size=20"):
        IS(split_size=20, **more)


def test_a_size_needs_the_number_of_samples_which_the_command_line_knows() -> None:
    with pytest.raises(ValueError, match=r"IS\(split_size=20\): expected num_samples="):
        GenerativeMetrics([IS(split_size=20)], extractor=None, num_classes=5)
    assert with_count([IS(split_size=20)], 57) == [IS(split_size=20, num_samples=57)]


def test_ddof_is_of_the_deviation_alone() -> None:
    logits = normal(0, 60, 5, std=3.0)
    mean, std = ours(IS(splits=4), logits)
    assert ours(IS(splits=4, ddof=1), logits) == pytest.approx([mean, std * (4 / 3) ** 0.5], rel=1e-12)


# --- closed forms and numerics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 10, 200])
def test_one_hot_predictions_spread_evenly_score_the_number_of_classes(classes: int) -> None:
    logits = 1e3 * torch.eye(classes).repeat_interleave(5, 0)
    assert ours(IS(splits=5), logits) == pytest.approx([classes, 0], rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("row", [torch.zeros(7), torch.arange(7.0), torch.tensor([1e4, *[-1e4] * 6])])
def test_constant_predictions_score_one(row: torch.Tensor) -> None:
    assert ours(IS(splits=3), row.repeat(30, 1)) == pytest.approx([1, 0], abs=1e-12)


def test_two_groups_of_unequal_size() -> None:
    logits = 1e3 * torch.eye(2)[[0, 0, 0, 1]]
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert ours(IS(splits=1), logits)[0] == pytest.approx(np.exp(entropy), rel=1e-12)


@given(SEEDS, st.sampled_from([1e2, 1e4, 1e14]))
@settings(max_examples=10, deadline=None)
def test_extreme_logits_score_as_their_argmax(seed: int, scale: float) -> None:
    classes = torch.randint(5, (60,), generator=torch.Generator().manual_seed(seed))
    logits = scale * (2 * torch.nn.functional.one_hot(classes, 5).float() - 1)
    share = classes.bincount(minlength=5).numpy() / 60
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
    assert ours(IS(splits=1), logits) == pytest.approx([np.exp(entropy), 0], rel=1e-12)


@given(SEEDS, st.floats(-1e4, 1e4))
@settings(max_examples=10, deadline=None)
def test_a_constant_on_all_logits_changes_nothing(seed: int, shift: float) -> None:
    logits = normal(seed, 40, 6, std=2.0).double()
    assert ours(IS(splits=4), logits + shift) == pytest.approx(ours(IS(splits=4), logits), rel=1e-9)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_lies_between_one_and_the_number_of_classes(seed: int) -> None:
    mean, std = ours(IS(splits=3), normal(seed, 30, 4, std=5.0))
    assert 1 <= mean <= 4
    assert std >= 0


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "misplaced"), [([0, 1, 2, 4], 1), ([4, 5, 6, 7], 4), ([0, 0, 0, 0], 0)])
@pytest.mark.parametrize("assignment", ["contiguous", "shuffled"])
def test_an_index_beyond_n_is_refused(assignment: Any, index: list[int], misplaced: int) -> None:
    measure = IS(splits=2, assignment=assignment, num_samples=4)
    told = rf"IS\(num_samples=4\): {misplaced} samples have an index"
    with pytest.raises(ValueError, match=told):
        ours(measure, torch.zeros(4, 2), torch.tensor(index))


def test_fewer_samples_than_were_announced_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match=r"IS needs at least 4 fake samples, got 3\. Remedy: as many"):
        ours(IS(splits=2, num_samples=4), torch.zeros(3, 2))


def test_arrivals_number_themselves_where_no_index_is_given() -> None:
    logits = normal(0, 20, 3)
    metric = GenerativeMetrics([IS(splits=3, num_samples=20)], extractor=None, num_classes=3)
    for batch in logits.split(7):
        metric.update(Features(logits=batch), real=False)
    assert [value.item() for value in metric.compute().values()] == pytest.approx(fidelity(logits, 3, True), rel=1e-9)


def test_contiguous_splits_of_a_sorted_stream_warn() -> None:
    logits = 10 * torch.eye(10).repeat_interleave(20, 0)
    measure = IS(assignment="contiguous", num_samples=200)
    with pytest.warns(BiasWarning, match="different classes .is it sorted"):
        low = ours(measure, logits)[0]
    assert low == pytest.approx(1, abs=1e-6)
    arrival = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert ours(measure, logits[arrival])[0] > 5
    assert ours(IS(num_samples=200), logits)[0] > 5


def test_fewer_samples_than_splits_warn_and_the_empty_splits_are_left_out() -> None:
    logits = normal(0, 3, 4)
    with pytest.warns(BiasWarning, match="the samples fill 3 of 10 splits"):
        assert ours(IS(), logits) == pytest.approx([1, 0], abs=1e-12)


def test_no_samples_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="IS needs at least 1 fake samples, got 0"):
        ours(IS(), torch.zeros(0, 3))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"splits": 0}, "IS splits: expected at least 1, got 0"),
        ({"assignment": "contiguous"}, "'contiguous' and 'shuffled' need the number of samples"),
        ({"assignment": "interleaved", "num_samples": 5}, "'interleaved' takes none"),
        ({"num_samples": 0}, "num_samples: expected at least 1"),
        ({"assignment": "sorted", "num_samples": 5}, "assignment: expected one of .* got 'sorted'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        IS(**options)


# --- errors -----------------------------------------------------------------------------------------------------------


def divergences(logits: torch.Tensor) -> torch.Tensor:
    """``KL(p ‖ p̄)`` of each sample."""
    log_p = logits.double().log_softmax(1)
    return (log_p.exp() * (log_p - log_p.exp().mean(0).log())).sum(1)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_the_error_is_the_delta_methods(scale: float) -> None:
    logits = scale * normal(0, 120, 7)
    found, each = score_logits(IS(splits=1, se=True), logits), divergences(logits)
    assert found["is"] == pytest.approx(each.mean().exp().item(), rel=1e-12)
    assert found["is_se"] == pytest.approx((each.mean().exp() * each.std() / 120**0.5).item(), rel=1e-9)


def test_the_error_is_that_of_leaving_out_each() -> None:
    logits = 2 * normal(0, 400, 5)
    left = [divergences(torch.cat([logits[:i], logits[i + 1 :]])).mean().exp().item() for i in range(400)]
    jackknife = (399 / 400 * np.square(np.subtract(left, np.mean(left))).sum()) ** 0.5
    assert score_logits(IS(splits=1, se=True), logits)["is_se"] == pytest.approx(jackknife, rel=0.02)


def test_clusters_of_samples_count_as_one() -> None:
    logits = 2 * normal(0, 100, 5)  # so few that hardly two clusters share a group
    several = score_logits(IS(splits=1, se=True, cluster=3), logits.repeat_interleave(3, 0))
    assert several["is_se"] == pytest.approx(score_logits(IS(splits=1, se=True), logits)["is_se"], rel=0.15)


@pytest.mark.parametrize("cluster", [1, 2])
def test_evidence_has_the_error_of_the_score(cluster: int) -> None:
    metric = GenerativeMetrics([IS(splits=1, se=True, cluster=cluster)], extractor=None, num_classes=5)
    metric.update(Features(logits=2 * normal(0, 3000, 5), index=torch.arange(3000)), real=False)
    values, found = metric.compute(), metric.evidence["is_features"]
    assert (found.value, found.better) == (pytest.approx(values["is_features"].item(), rel=1e-12), "higher")
    assert len(found.fake.index) == 2000
    assert found.error == pytest.approx(values["is_se_features"].item(), rel=0.06)
