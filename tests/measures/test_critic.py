"""Wasserstein critic against optimal transport and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import ot
import pytest
import torch
from by_hand import compute, lives
from scores import normal, score

from streaming_metrics import Features, NotEnoughSamples, WassersteinCritic
from streaming_metrics.measures.critic import Critic, between, centre_and_scale

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from torch import Tensor

QUICK = WassersteinCritic(steps=120, width=32)
BRIEF = WassersteinCritic(steps=15, width=8)  # where its value need not be near the distance


def ours(real: Tensor, fake: Tensor, measure: WassersteinCritic = QUICK) -> float:
    sides = {"real": real, "fake": fake}
    samples = {role: Features(rows, index=torch.arange(len(rows))) for role, rows in sides.items()}
    return compute(measure, samples, batch_size=500)["wasserstein_critic"]


def circle(seed: int, n: int) -> Tensor:
    return torch.nn.functional.normalize(normal(seed, n, 2), dim=1)


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "length"), [(1, 0.5), (2, 3.0), (30, 3.0), (30, 20.0)])
def test_of_a_shift_it_is_its_length(length: float, width: int) -> None:
    real, fake = normal(0, 1000, width), normal(1, 1000, width, length / math.sqrt(width))
    assert ours(real, fake) == pytest.approx(length, abs=0.12 + 0.02 * length)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_of_a_circle_and_its_centre_it_is_the_radius() -> None:
    assert ours(circle(0, 600), torch.zeros(600, 2)) == pytest.approx(1.0, abs=0.03)


def test_what_differs_in_scale_alone_is_found() -> None:
    narrow, gap = 0.2, (1 - 0.2) * math.sqrt(2 / math.pi)  # W₁ of N(0, 1) and N(0, s²): (1 − s)·E|z|
    found = ours(normal(0, 1000, 1), normal(1, 1000, 1, std=narrow), QUICK)
    assert found == pytest.approx(gap, rel=0.1)


def test_it_is_near_optimal_transports_distance() -> None:
    real, fake = normal(0, 1000, 2), torch.cat([normal(1, 500, 2, 2.0, 0.3), normal(2, 500, 2, -1.0, 0.5)])
    costs = ot.dist(real.double().numpy(), fake.double().numpy(), metric="euclidean")
    expected = ot.emd2([], [], costs)
    found = ours(real, fake, WassersteinCritic())
    assert found == pytest.approx(expected, rel=0.1)
    assert found < expected * 1.02


def test_of_equal_distributions_it_is_about_0_on_either_side() -> None:
    values = [ours(normal(2 * seed, 400, 5), normal(2 * seed + 1, 400, 5)) for seed in range(5)]
    assert abs(np.mean(values)) < 0.08
    assert min(values) < 0


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_are_those_of_the_features(scale: float) -> None:
    real, fake = normal(0, 200, 3), normal(1, 200, 3, 1.0)
    assert ours(scale * real, scale * fake, BRIEF) == pytest.approx(scale * ours(real, fake, BRIEF), rel=1e-3)


def test_a_slope_above_1_is_divided_out() -> None:
    x, y = (normal(seed, 500, 2, mean).double() for seed, mean in ((0, 0.0), (1, 4.0)))
    random = np.random.RandomState(0)
    critic = Critic(x, y, 16, random)
    critic.train(150, random)
    distance = 4 * math.sqrt(2)
    slope = critic.slopes(between(x, y, random)).mean().item()
    assert slope == pytest.approx(1 + distance / 20, rel=0.05)
    assert critic.distance(x, y, random).item() == pytest.approx(distance, rel=0.03)


def test_slopes_are_differences_of_the_function() -> None:
    x, y = normal(0, 40, 3).double(), normal(1, 40, 3, 1.0).double()
    critic, step = Critic(x, y, 8, np.random.RandomState(0)), 1e-6
    critic.train(20, np.random.RandomState(1))
    steps = step * torch.eye(3, dtype=torch.float64)
    differences = torch.stack([critic(x + along) - critic(x - along) for along in steps]) / (2 * step)
    assert critic.slopes(x).tolist() == pytest.approx(differences.norm(dim=0).tolist(), rel=1e-6)


# --- what decides it --------------------------------------------------------------------------------------------------


def test_a_seed_decides_and_the_global_random_state_does_not() -> None:
    real, fake = normal(0, 60, 3), normal(1, 60, 3, 0.5)
    torch.manual_seed(0)
    np.random.seed(0)
    first, state = ours(real, fake, BRIEF), torch.get_rng_state()
    torch.manual_seed(1)
    np.random.seed(1)
    drawn = np.random.get_state()[1].tolist()  # pyright: ignore
    assert ours(real, fake, BRIEF) == first
    assert np.random.get_state()[1].tolist() == drawn  # pyright: ignore
    assert ours(real, fake, replace(BRIEF, seed=1)) != first
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_more_threads_change_nothing() -> None:
    real, fake = normal(0, 300, 200), normal(1, 300, 200, 0.5)
    threads = torch.get_num_threads()
    try:
        values = []
        for number in (1, 2):
            torch.set_num_threads(number)
            values.append(ours(real, fake, WassersteinCritic(steps=20)))
    finally:
        torch.set_num_threads(threads)
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_freezing_the_real_side_changes_nothing() -> None:
    measure = WassersteinCritic(most=40, steps=10, width=4)
    samples = {
        role: Features(normal(seed, n, 4, seed), index=torch.arange(n))
        for role, seed, n in (("real", 0, 90), ("fake", 1, 70))
    }
    for lived in lives(measure, samples, "real").values():
        assert lived == (compute(measure, samples), 40)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_it_trains_where_gradients_are_off(mode: Callable[[], AbstractContextManager[None]]) -> None:
    real, fake = normal(0, 60, 3), normal(1, 60, 3, 0.5)
    with mode():
        inside = score(BRIEF, real, fake)
    assert inside == score(BRIEF, real, fake)
    assert inside["wasserstein_critic"] > 0.1


# --- edges ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_real_features_without_a_scale_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected real features that differ, got copies of one. Remedy: check"):
        ours(torch.ones(20, 3), normal(0, 20, 3))


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_identical_sides_are_at_0() -> None:
    rows = normal(0, 80, 3)
    assert ours(rows, rows, BRIEF) == pytest.approx(0, abs=1e-12)


def test_scale_is_the_root_mean_squared_distance_from_the_mean() -> None:
    centre, scale = centre_and_scale(torch.tensor([[0.0, 0.0], [6.0, 8.0]]))
    assert centre.tolist() == [3.0, 4.0]
    assert scale == 5.0


def test_fewer_than_4_samples_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="WassersteinCritic needs at least 4 fake samples, got 3"):
        ours(normal(0, 9, 3), normal(1, 3, 3))
    assert math.isfinite(ours(normal(0, 4, 3), normal(1, 4, 3), BRIEF))
