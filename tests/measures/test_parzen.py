"""Parzen likelihood by scikit-learn's KernelDensity, closed forms, what it is known to get wrong, on ranks, bound."""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, compute_unbound, lives
from hypothesis import given
from hypothesis import strategies as st
from scores import normal
from sklearn.cluster import KMeans
from sklearn.neighbors import KernelDensity

from streaming_metrics import BiasWarning, Features, NotEnoughSamples, ParzenLikelihood, Spec
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.pairwise import Bandwidths
from streaming_metrics.statistics import FixedRows, KernelDensities
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
at_an_end = pytest.mark.filterwarnings("ignore:ParzenLikelihood. of all bandwidths:streaming_metrics.BiasWarning")


def indexed(rows: Tensor) -> Features:
    return Features(rows, index=torch.arange(len(rows)))


def ours(measure: ParzenLikelihood, real: Tensor, fake: Tensor) -> dict[str, float]:
    """The measure, which must be the same in both forms."""
    samples = {"real": indexed(real), "fake": indexed(fake)}
    bound, unbound = compute(measure, samples), compute_unbound(measure, samples)
    assert bound == pytest.approx(unbound, rel=1e-9)
    return bound


def halves(real: Tensor, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The real samples for the bandwidth, and those for the value: in the order of hashed ids."""
    chosen = real.double().numpy()[hashed(torch.arange(len(real))).argsort()[:most]]
    return chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]


def scikit_learns(real: Tensor, fake: Tensor, widths: list[float], most: int = 500) -> dict[str, float]:
    """As Goodfellow's parzen_ll.py does it: the width by one half, mean and error by the other.

    With the usual leaves, the trees' sums are off by hundreds of nats in many dimensions.
    """
    for_width, for_value = halves(real, most)
    estimates = [KernelDensity(bandwidth=width, leaf_size=len(fake) + 1).fit(fake.double().numpy()) for width in widths]
    best = int(np.argmax([estimate.score_samples(for_width).mean() for estimate in estimates]))
    logs = estimates[best].score_samples(for_value)
    error = logs.std(ddof=1) / len(logs) ** 0.5
    return {"parzen": logs.mean(), "parzen_se": error, "parzen_width": widths[best]}


# --- value ------------------------------------------------------------------------------------------------------------


@at_an_end
@pytest.mark.parametrize(("n", "m", "width"), [(4, 1, 1), (60, 90, 3), (41, 300, 64), (24, 600, 700)])
@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (1e3, 1.0), (0.0, 1e-9)])
def test_value_is_scikit_learns(n: int, m: int, width: int, mean: float, scale: float) -> None:
    real, fake = (
        scale * normal(seed, count, width, mean + 0.3 * seed, 1 - seed / 5) for seed, count in ((0, n), (1, m))
    )
    widths = [0.2 * scale, 0.5 * scale, scale, 3 * scale]
    expected = scikit_learns(real, fake, widths)
    assert ours(ParzenLikelihood(widths=tuple(widths)), real, fake) == pytest.approx(expected, rel=1e-7)


@at_an_end
@given(SEEDS)
def test_the_widths_of_the_grid_are_of_the_data(seed: int) -> None:
    real, fake = normal(seed, 50, 5, std=3.0), normal(seed + 1, 70, 5, std=2.0)
    pairs = torch.pdist(real.double()).sort().values
    scale = float(pairs[(len(pairs) - 1) // 2]) / 10**0.5
    widths = [scale * 2.0 ** (step / 4) for step in range(-23, 9)]
    assert ours(ParzenLikelihood(), real, fake) == pytest.approx(scikit_learns(real, fake, widths), rel=1e-6)


def test_of_one_point_it_is_a_gaussians() -> None:
    """All samples equal to y: the likeliest width has w² = E‖x − y‖² / D, and the value is −D/2·(log 2πw² + 1)."""
    real, fake = normal(0, 500, 8), torch.full((3, 8), 0.5)
    best = (real.double() - 0.5).square().mean().sqrt().item()
    value = ours(ParzenLikelihood(widths=(best / 2, best, 2 * best)), real, fake)
    assert value["parzen_width"] == pytest.approx(best)
    assert abs(value["parzen"] + 4 * (log(2 * pi * best**2) + 1)) < 4 * value["parzen_se"]


def test_many_samples_of_a_gaussian_near_its_entropy() -> None:
    real, fake = normal(0, 400, 1), normal(1, 3000, 1)
    value = ours(ParzenLikelihood(), real, fake)
    assert abs(value["parzen"] + 0.5 * (log(2 * pi) + 1)) < 4 * value["parzen_se"]


def test_scale_shifts_it_by_its_logarithm() -> None:
    real, fake = normal(0, 60, 7), normal(1, 80, 7)
    one, other = ours(ParzenLikelihood(), real, fake), ours(ParzenLikelihood(), 8 * real, 8 * fake)
    assert other["parzen"] == pytest.approx(one["parzen"] - 7 * log(8), rel=1e-9)
    assert other["parzen_width"] == pytest.approx(8 * one["parzen_width"])


def test_worse_samples_are_less_likely() -> None:
    real = normal(0, 200, 6)
    fakes = [normal(1, 300, 6), normal(1, 300, 6, 1.0), normal(1, 300, 6, 3.0)]
    values = [ours(ParzenLikelihood(), real, fake)["parzen"] for fake in fakes]
    assert values == sorted(values, reverse=True)


def test_centres_of_k_means_can_beat_the_data() -> None:
    """Theis et al., figure 5: a model that no one would choose is likelier than the data's own distribution."""
    data = normal(0, 2300, 32)
    real, fake = data[:300], data[300:]
    centres = KMeans(200, n_init=1, max_iter=20, random_state=0).fit(fake.numpy()).cluster_centers_
    of_data, of_centres = (ours(ParzenLikelihood(), real, rows) for rows in (fake[:200], torch.from_numpy(centres)))
    assert of_centres["parzen"] > of_data["parzen"] + 3 * of_data["parzen_se"]


# --- far, near, repeated ----------------------------------------------------------------------------------------------


def test_copies_and_samples_far_away_have_a_value_and_are_told() -> None:
    real = normal(0, 60, 4)
    with pytest.warns(BiasWarning, match="the smallest is best, .* copy real ones"):
        copied = ours(ParzenLikelihood(), real, real)
    with pytest.warns(BiasWarning, match="the largest is best, .* far from real ones"):
        far = ours(ParzenLikelihood(), real, real + 1e4)
    assert copied["parzen"] > 0 > far["parzen"] > -1e10


def test_real_samples_of_which_most_are_equal_need_widths() -> None:
    real, fake = torch.zeros(9, 2), normal(1, 9, 2)
    with pytest.raises(
        ValueError, match=r"ParzenLikelihood: expected real features of which most differ.*give `widths`"
    ):
        ours(ParzenLikelihood(), real, fake)
    expected = scikit_learns(real, fake, [0.7])
    assert ours(ParzenLikelihood(widths=(0.7,)), real, fake) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "m", "told"), [(3, 5, "4 real samples, got 3"), (5, 0, "1 fake samples, got 0")])
def test_too_few_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"ParzenLikelihood needs at least {told}"):
        ours(ParzenLikelihood(), normal(0, n, 2), normal(1, m, 2))


@pytest.mark.parametrize("widths", [(), (0.0,), (1.0, -1.0), float("inf"), "wide"])
def test_widths_are_positive_numbers(widths: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="ParzenLikelihood widths: expected"):
        ParzenLikelihood(widths=widths)
    assert ParzenLikelihood(widths=2) == ParzenLikelihood(widths=(2.0,))  # pyright: ignore[reportArgumentType]


# --- ranks, orders, states --------------------------------------------------------------------------------------------


def on_a_rank(group: Any, samples: dict[str, Features]) -> tuple[dict[str, float], dict[str, float]]:
    comm, measure = Comm(group), ParzenLikelihood(most=30)
    return compute(measure, samples, comm), compute_unbound(measure, samples, comm)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_and_orders_do_not_matter(ranks: Ranks, world_size: int) -> None:
    real, fake = indexed(normal(0, 50, 3)), indexed(normal(1, 41, 3))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    shares = [
        {"real": real[order[rank::world_size]], "fake": fake[torch.arange(41) % world_size == rank]}
        for rank in range(world_size)
    ]
    expected = pytest.approx(ours(ParzenLikelihood(most=30), real.pool, fake.pool), rel=1e-9)  # pyright: ignore
    for bound, unbound in ranks.run(world_size, on_a_rank, each=shares):
        assert (bound, unbound) == (expected, expected)


def test_a_frozen_real_side_leaves_sums_alone_of_generated_samples() -> None:
    measure, samples = ParzenLikelihood(), {"real": indexed(normal(0, 90, 3)), "fake": indexed(normal(1, 70, 3))}
    found, expected = lives(measure, samples, "real"), pytest.approx(compute(measure, samples), rel=1e-9)
    assert {how: lived.values for how, lived in found.items()} == dict.fromkeys(found, expected)
    assert {how: lived.rows_kept for how, lived in found.items()} == dict.fromkeys(found, 0) | {"nothing frozen": 70}


GOOD = {"places": torch.arange(8), "tops": torch.ones(4, dtype=torch.float64)}
BAD = {
    "too many": {"places": torch.arange(9)},
    "twice": {"places": torch.arange(8) // 2},
    "beyond": {"places": torch.arange(8) + 1},
    "negative": {"places": torch.arange(8) - 1},
    "too few widths": {"tops": torch.ones(3, dtype=torch.float64)},
    "no width": {"tops": torch.zeros(4, dtype=torch.float64)},
}


@pytest.mark.parametrize("wrong", BAD.values(), ids=BAD)
def test_saved_tensors_that_cannot_be_are_refused(wrong: dict[str, Tensor]) -> None:
    measure = ParzenLikelihood()
    assert {key: value.dtype for key, value in measure.prepares(Spec(3)).items()} == {
        k: v.dtype for k, v in GOOD.items()
    }
    measure.check_prepared(GOOD, 8)
    with pytest.raises(ValueError, match="expected"):
        measure.check_prepared(GOOD | wrong, 8)


def test_states_that_cannot_be_are_refused() -> None:
    statistic = KernelDensities(3, rows=FixedRows(normal(0, 5, 3)), bandwidths=Bandwidths.around(1.0))
    state = statistic.update(statistic.empty(), Features(normal(1, 4, 3)))
    for key, wrong, told in (
        ("sums", state["sums"] + 4, "at most one a point"),
        ("sums", state["sums"] - 1, "at least 1"),
        ("nearest", state["nearest"] - 99, "not negative"),
        ("points", state["points"] - 5, "not negative"),
        ("nearest", state["nearest"] * torch.inf, "finite"),
    ):
        with pytest.raises(ValueError, match=told):
            statistic.check(state | {key: wrong})
    statistic.check(state)
    assert statistic.bounds(state) == (4, 4)


# --- bandwidths -------------------------------------------------------------------------------------------------------


def test_rungs_are_the_kernels_of_their_widths() -> None:
    bandwidths, squared = Bandwidths.around(0.7), normal(0, 6, 40).double().square()
    nearest, sums = bandwidths.summed(squared)
    excess = (squared - nearest.unsqueeze(1)).unsqueeze(0)
    direct = (-excess / (2 * bandwidths.widths.view(-1, 1, 1) ** 2)).exp().sum(2)
    torch.testing.assert_close(sums, direct, rtol=1e-12, atol=0)
    steps = bandwidths.widths.sort().values.log2().diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 0.25))


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_sums_neither_overflow_nor_vanish_at_any_scale(scale: float) -> None:
    bandwidths = Bandwidths(torch.tensor([scale], dtype=torch.float64))
    squared = torch.tensor([[1.0, 1.0 + log(2)]], dtype=torch.float64) * (2 * scale * scale)
    nearest, sums = bandwidths.summed(squared)
    assert sums.item() == pytest.approx(1.5)
    assert bandwidths.log_densities(nearest, sums, 2, 1).item() == pytest.approx(
        log(0.75) - 1 - log(scale) - log(2 * pi) / 2
    )
