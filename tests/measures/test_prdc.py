"""PRDC against prdc, torch-fidelity and brute force: continuous, tied, doubled, far away, in tiles of every size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from prdc import compute_prdc
from scores import normal, score
from torch_fidelity.metric_prc import prc_features_to_metric

from streaming_metrics import PRDC, BiasWarning, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.pairwise import tiling
from streaming_metrics.verdicts.intervals import share_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # rows repeat on purpose
empty_balls = pytest.mark.filterwarnings("ignore:PRDC:streaming_metrics.BiasWarning")


def squared_distances(x: Tensor, y: Tensor) -> np.ndarray:
    """Exact for coordinates on a grid, where ties are, and for float32 far from the origin, which lie on one."""
    return ((x.double()[:, None] - y.double()[None]) ** 2).sum(2).numpy()


def half(squared: np.ndarray) -> np.ndarray:
    """Rounded to float16 where it holds them."""
    with np.errstate(over="ignore"):
        rounded = squared.astype(np.float16).astype(np.float64)
    return np.where(np.isfinite(rounded), rounded, squared)


def brute_force(real: Tensor, fake: Tensor, k: int, variant: str = "prdc") -> dict[str, float]:
    """As the papers say it: rows are real, columns generated, balls reach to the k-th nearest other sample."""
    sides = ((real, fake), (real, real), (fake, fake))
    squared = [half(d) if variant == "guided-diffusion" else d for d in (squared_distances(*pair) for pair in sides)]
    between, (of_real, of_fake) = squared[0], (np.sort(within, axis=1)[:, k] for within in squared[1:])
    in_real, in_fake = between - of_real[:, None], between - of_fake[None, :]
    in_real, in_fake = (sign < 0 if variant == "prdc" else sign <= 0 for sign in (in_real, in_fake))
    return {
        "precision": in_real.any(0).mean(),
        "recall": in_fake.any(1).mean(),
        "density": in_real.sum(0).mean() / k,
        "coverage": in_real.any(1).mean(),
    }


def counts(values: dict[str, float], real: Tensor, fake: Tensor, k: int) -> dict[str, int]:
    """Shares as the counts that they are made of: whole numbers, so that equality is exact."""
    sizes = {"precision": len(fake), "recall": len(real), "density": k * len(fake), "coverage": len(real)}
    shares = {key: values[key] * size for key, size in sizes.items()}
    whole = {key: round(share) for key, share in shares.items()}
    assert shares == pytest.approx(whole, abs=1e-6)
    return whole


def check(measure: PRDC, real: Tensor, fake: Tensor, expected: dict[str, float] | None = None) -> None:
    k = measure.neighbours
    expected = brute_force(real, fake, k, measure.variant) if expected is None else expected
    for bf16 in (False, True):
        with mock.patch.object(tiling, "bf16_pays", lambda _, bf16=bf16: bf16):
            assert counts(score(measure, real, fake), real, fake, k) == counts(expected, real, fake, k)


# --- peers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(60, 90), (150, 41), (33, 33)])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("width", [2, 7, 64])
@given(seed=SEEDS)
@settings(max_examples=2, deadline=None)
def test_counts_are_prdcs(sizes: tuple[int, int], k: int, width: int, seed: int) -> None:
    real, fake = normal(seed, sizes[0], width), normal(seed + 1, sizes[1], width, 0.3, 0.8)
    with parallel_config("sequential"):
        expected = compute_prdc(real.double().numpy(), fake.double().numpy(), k)
    check(PRDC(k=k), real, fake, expected)


@pytest.mark.parametrize(("n", "m", "k"), [(60, 90, 3), (120, 41, 3), (50, 50, 7)])
@given(seed=SEEDS)
@settings(max_examples=4, deadline=None)
def test_improved_is_torch_fidelitys(n: int, m: int, k: int, seed: int) -> None:
    real, fake = normal(seed, n, 9), normal(seed + 1, m, 9, 0.5, 0.8)
    theirs = prc_features_to_metric(
        fake.double(), real.double(), prc_neighborhood=k, prc_batch_size=1000, verbose=False
    )
    ours = score(PRDC(k=k, variant="improved", f1=True), real, fake)
    expected = {"precision": theirs["precision"], "recall": theirs["recall"], "f1": theirs["f_score"]}
    assert {key: ours[key] for key in expected} == pytest.approx(expected, rel=1e-6)


# --- ties, duplicates, far from the origin ----------------------------------------------------------------------------


def grid(seed: int, n: int, width: int, levels: int) -> Tensor:
    return torch.randint(levels, (n, width), generator=torch.Generator().manual_seed(seed)).float()


def one_hot(seed: int, n: int, width: int, height: int) -> Tensor:
    return torch.nn.functional.one_hot(grid(seed, n, 1, width).long().squeeze(1), width) * float(height)


VARIANTS = [PRDC(k=1), PRDC(k=4), PRDC(variant="improved"), PRDC(k=2, variant="guided-diffusion")]
TIED = [(grid, 1, 50), (grid, 3, 4), (grid, 40, 2), (one_hot, 90, 1), (one_hot, 9, 3)]


@empty_balls
@pytest.mark.parametrize("measure", VARIANTS, ids=repr)
@pytest.mark.parametrize(("draw", "width", "levels"), TIED)
@given(seed=SEEDS, origin=st.sampled_from([0.0, 0.25, 1e3, 1e5]))
@settings(max_examples=4, deadline=None)
def test_exact_ties(
    measure: PRDC, draw: Callable[..., Tensor], width: int, levels: int, seed: int, origin: float
) -> None:
    check(measure, draw(seed, 45, width, levels) + origin, draw(seed + 1, 35, width, levels) + origin)


def test_a_point_on_the_sphere_is_outside_only_where_strict() -> None:
    real, fake = torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[-2.0], [6.0], [8.0]])
    strict, loose = (score(PRDC(k=1, variant=variant), real, fake) for variant in ("prdc", "improved"))
    assert strict == {"precision": 0, "recall": 1, "density": 0, "coverage": 0}
    assert loose == {"precision": 2 / 3, "recall": 1.0, "density": 2 / 3, "coverage": 2 / 3}


@empty_balls
@pytest.mark.parametrize("measure", VARIANTS, ids=repr)
@given(seed=SEEDS, mean=st.sampled_from([0.0, 1e3, 1e5]))
@settings(max_examples=5, deadline=None)
def test_doubled_rows_and_rows_of_the_other_side(measure: PRDC, seed: int, mean: float) -> None:
    real, extra = normal(seed, 40, 5, mean), normal(seed + 1, 20, 5, mean)
    check(measure, torch.cat([real, real[:15]]), torch.cat([real[10:30], extra, extra]))


@empty_balls
@pytest.mark.parametrize("measure", VARIANTS, ids=repr)
@pytest.mark.parametrize(("draw", "width", "levels"), TIED)
def test_against_a_reference_points_are_counted_alike(
    measure: PRDC, draw: Callable[..., Tensor], width: int, levels: int, tmp_path: Path
) -> None:
    real, fake = draw(0, 45, width, levels), draw(1, 35, width, levels)
    expected = score(replace(measure, recall=False), real, fake)
    kept = GenerativeMetrics([measure], extractor=None, num_features=width)
    kept.update(real, real=True)
    kept.save_reference(tmp_path / "real")
    options = {"extractor": None, "num_features": width, "reference": tmp_path / "real"}
    counted = GenerativeMetrics([replace(measure, recall=False)], **options)
    for batch in fake.split(11):
        counted.update(batch, real=False)
    assert [value.item() for value in counted.compute().values()] == list(expected.values())


@pytest.mark.parametrize("scale", [1e-15, 1e-6, 1.0, 1e9])
@pytest.mark.parametrize("mean", [0.0, 1e3, 1e5])
@given(seed=SEEDS)
@settings(max_examples=3, deadline=None)
def test_far_from_the_origin_and_at_any_scale(mean: float, scale: float, seed: int) -> None:
    real, fake = normal(seed, 80, 16, mean) * scale, normal(seed + 1, 60, 16, mean) * scale
    check(PRDC(k=3), real, fake)


@pytest.mark.parametrize("mean", [0.0, 1e3])
@pytest.mark.parametrize("measure", VARIANTS, ids=repr)
def test_a_cluster_far_from_the_rest_keeps_its_own_neighbours(measure: PRDC, mean: float) -> None:
    near, far = normal(0, 40, 8, mean, 1e-3), normal(1, 20, 8, mean + 1e4)
    check(measure, torch.cat([near[:25], far[:12]]), torch.cat([near[25:], far[12:]]))


# --- guided-diffusion: distances rounded to float16 -------------------------------------------------------------------

ROUNDED = {"digits are lost below 2**-14": (0.01, 2), "rounds": (1.0, 64), "holds some": (8.0, 300), "none": (1e4, 8)}


@pytest.mark.parametrize("recall", [True, False])
@pytest.mark.parametrize(("std", "width"), ROUNDED.values(), ids=ROUNDED)
@given(seed=SEEDS, k=st.integers(1, 4))
@settings(max_examples=4, deadline=None)
def test_rounded_distances_are_counted_exactly(std: float, width: int, recall: bool, seed: int, k: int) -> None:
    real, fake = normal(seed, 120, width, std=std), normal(seed + 1, 90, width, std=std)
    check(PRDC(k=k, variant="guided-diffusion"), real, fake)
    bound = GenerativeMetrics(
        [PRDC(k=k, variant="guided-diffusion", recall=recall)], extractor=None, num_features=width
    )
    bound.update(real, real=True)
    bound.freeze_real()
    for batch in fake.split(23):
        bound.update(batch, real=False)
    values = {key.removesuffix("_features"): value.item() for key, value in bound.compute().items()}
    expected = brute_force(real, fake, k, "guided-diffusion")
    if not recall:
        del expected["recall"]
    assert values == pytest.approx(expected, rel=1e-12)


def test_a_point_that_float16_does_not_tell_from_the_sphere_is_inside() -> None:
    real = torch.tensor([[0.0], [32.0]])
    beyond = [32.0 + delta for delta in (0.0, 0.007, 0.008, 0.02)]  # squares 1024, 1024.4480, 1024.5121, 1025.2804
    inside = [(value**2 <= 1024.5) for value in beyond]
    fake = -torch.tensor(beyond).unsqueeze(1)
    for measure, expected in ((PRDC(1, "improved", False), 1), (PRDC(1, "guided-diffusion", False), sum(inside))):
        found = score(measure, torch.cat([real, torch.tensor([[1e5]])]), fake)  # the far ball reaches no further
        assert round(found["precision"] * len(fake)) == expected


def evaluators_own(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float]:
    """Precision and recall where features, norms, products and their sum are rounded as well, in one block."""

    def squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = (side.astype(np.float16) for side in (x, y))
        norms = [(side.astype(np.float32) ** 2).sum(1).astype(np.float16) for side in (u, v)]
        products = (u.astype(np.float32) @ v.astype(np.float32).T).astype(np.float16)
        total = (norms[0][:, None] - np.float16(2) * products).astype(np.float16) + norms[1][None]
        return np.maximum(total.astype(np.float16), 0).astype(np.float32)

    of_real, of_fake = (np.sort(squared(side, side), axis=1)[:, k] for side in (real, fake))
    between = squared(real, fake)
    return (between <= of_real[:, None]).any(0).mean(), (between <= of_fake[None]).any(1).mean()


def test_the_evaluators_own_rounding_moves_few_samples() -> None:
    real, fake = (normal(seed, 600, 256, mean=0.4, std=0.4).clamp(min=0) for seed in (0, 1))
    fake = fake * 0.9 + 0.02
    ours = score(PRDC(variant="guided-diffusion"), real, fake)
    theirs = evaluators_own(real.numpy(), fake.numpy(), 3)
    assert theirs == pytest.approx((ours["precision"], ours["recall"]), abs=0.03)


# --- closed forms -----------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 6), st.sampled_from([0.0, 1e3, 1e5]))
@settings(max_examples=8, deadline=None)
def test_identical_sets_score_one_in_all(seed: int, k: int, mean: float) -> None:
    features = normal(seed, 50, 12, mean)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(seed))
    ones = dict.fromkeys(("precision", "recall", "density", "coverage", "f1"), 1.0)
    assert score(PRDC(k=k, f1=True), features, features[order]) == ones


def test_sets_apart_score_zero_in_all() -> None:
    zeros = dict.fromkeys(("precision", "recall", "density", "coverage", "f1"), 0.0)
    assert score(PRDC(f1=True), normal(0, 30, 4), normal(1, 40, 4, mean=100)) == zeros


@pytest.mark.parametrize(("n", "m", "k"), [(20, 30, 3), (25, 10, 5)])
def test_expectations_for_equal_distributions(n: int, m: int, k: int) -> None:
    draws = [score(PRDC(k=k), normal(2 * i, n, 3), normal(2 * i + 1, m, 3)) for i in range(100)]
    missed = np.prod([(n - i) / (n + m - i) for i in range(1, k + 1)])
    for key, expected in (("density", 1), ("coverage", 1 - missed)):
        values = np.array([draw[key] for draw in draws])
        assert abs(values.mean() - expected) < 5 * values.std() / len(draws) ** 0.5


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_f1_is_the_harmonic_mean_and_recall_is_precision_with_roles_swapped(seed: int) -> None:
    real, fake = normal(seed, 30, 3), normal(seed + 1, 40, 3, 0.8)
    values, swapped = score(PRDC(f1=True), real, fake), score(PRDC(recall=False), fake, real)
    p, r = values["precision"], values["recall"]
    assert values["f1"] == pytest.approx(2 * p * r / max(1e-5, p + r))
    assert r == swapped["precision"]
    assert "recall" not in swapped


# --- what is said -----------------------------------------------------------------------------------------------------


def test_empty_balls_are_told_by_role_and_count() -> None:
    real, fake = torch.cat([torch.zeros(4, 2), normal(0, 10, 2)]), normal(1, 20, 2)
    with pytest.warns(BiasWarning, match="PRDC: 4 of 14 real samples have 3 identical others"):
        score(PRDC(k=3), real, fake)
    with pytest.warns(BiasWarning, match=r"4 of 14 fake samples .* identical others.*A generator that has collapsed"):
        score(PRDC(k=3), fake, real)


@pytest.mark.parametrize(("n", "m", "told"), [(4, 9, "real samples, got 4"), (9, 0, "fake samples, got 0")])
def test_fewer_than_k_plus_two_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=rf"PRDC\(k=3\) needs at least 5 {told}"):
        score(PRDC(k=3), normal(0, n, 2), normal(1, m, 2))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"k": 0}, "PRDC k: expected at least 1, got 0"),
        ({"variant": "best"}, "PRDC variant: expected .* got 'best'"),
        ({"recall": False, "f1": True}, "PRDC f1 needs recall"),
        ({"capacity": 6}, "PRDC capacity: expected at least 7, got 6"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PRDC(**options)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recall", [True, False])
def test_coverages_error_is_that_of_leaving_out_each_sample(recall: bool) -> None:
    real, fake = normal(0, 60, 3), normal(1, 40, 3, 0.5)
    left = [brute_force(real, torch.cat([fake[:j], fake[j + 1 :]]), 3)["coverage"] for j in range(40)]
    spread = np.square(np.subtract(left, np.mean(left))).sum()
    found = score(PRDC(k=3, recall=recall, se=True), real, fake)
    share = found["coverage"]
    assert found["coverage_se"] == pytest.approx(share_error(share, share * (1 - share) / (39 / 40 * spread)), rel=1e-9)


def test_errors_of_counts_are_those_of_means() -> None:
    real, fake = normal(0, 60, 3), normal(1, 40, 3, 0.5)
    found = score(PRDC(k=3, f1=True, se=True), real, fake)
    held = (squared_distances(real, fake) < np.sort(squared_distances(real, real), axis=1)[:, 3][:, None]).sum(0)
    assert found["density_se"] == pytest.approx(held.std(ddof=1) / 3 / 40**0.5, rel=1e-12)
    assert found["precision_se"] == share_error(found["precision"], 40)
    assert found["recall_se"] == share_error(found["recall"], 24)
    step = 1e-6
    slopes = [
        (harmonic(found["precision"] + a, found["recall"] + b) - harmonic(found["precision"], found["recall"])) / step
        for a, b in ((step, 0), (0, step))
    ]
    expected = np.hypot(slopes[0] * found["precision_se"], slopes[1] * found["recall_se"])
    assert found["f1_se"] == pytest.approx(expected, rel=1e-4)


def harmonic(p: float, r: float) -> float:
    return 2 * p * r / (p + r)


def test_with_both_sides_random_errors_are_wider() -> None:
    real, fake = normal(0, 60, 3), normal(1, 40, 3, 0.5)
    given, both = (score(PRDC(k=3, f1=True, se=True, both=both), real, fake) for both in (False, True))
    assert {key for key in given if both[key] > given[key]} == {"precision_se", "density_se", "coverage_se", "f1_se"}
    assert both["recall_se"] == given["recall_se"]


def test_all_or_nothing_has_an_error_all_the_same() -> None:
    real = normal(0, 50, 3)
    found = score(PRDC(k=3, se=True), real, real + 100)
    assert found["precision_se"] == share_error(0, 50)
    assert score(PRDC(k=3, se=True), real, real)["coverage_se"] == share_error(1, 50)


def test_paired_precision_is_of_the_samples_ids() -> None:
    metric = GenerativeMetrics([PRDC(k=3, se=True)], extractor=None, num_features=3)
    metric.update(normal(0, 60, 3), real=True)
    metric.update(normal(1, 40, 3, 0.5), real=False, index=torch.arange(40) + 7)
    values = metric.compute()
    found = metric.evidence["precision_features"]
    assert (found.value, found.better) == (values["precision_features"].item(), "higher")
    assert found.fake.index.tolist() == [*range(7, 47)]
    assert found.fake.values.mean() == pytest.approx(found.value)
