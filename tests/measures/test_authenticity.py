"""AuthPct against its definition by brute force: continuous, tied, copied, far away, on ranks, bound and unbound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, compute_unbound, lives
from hypothesis import given
from hypothesis import strategies as st
from scores import normal

from streaming_metrics import Features, NotEnoughSamples
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.authenticity import AuthPct
from streaming_metrics.statistics import Authentic, FixedRows

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)


def indexed(rows: Tensor) -> Features:
    return Features(rows, index=torch.arange(len(rows)))


def ours(train: Tensor, fake: Tensor) -> float:
    """AuthPct, which must be the same in both forms."""
    samples = {"train": indexed(train), "fake": indexed(fake)}
    bound, unbound = compute(AuthPct(), samples)["authpct"], compute_unbound(AuthPct(), samples)["authpct"]
    assert bound == unbound
    return bound


def brute_force(train: Tensor, fake: Tensor) -> float:
    """``100·mean_j [d(t*, nn(t*)) < d(y_j, t*)]``, with exact squares of differences; argmin takes the first."""
    x, y = train.double().numpy(), fake.double().numpy()
    among = ((x[:, None] - x[None]) ** 2).sum(2)
    np.fill_diagonal(among, np.inf)
    between = ((y[:, None] - x[None]) ** 2).sum(2)
    nearest = between.argmin(1)
    return 100 * float((among.min(1)[nearest] < between.min(1)).mean())


def grid(seed: int, n: int, width: int, levels: int) -> Tensor:
    return torch.randint(levels, (n, width), generator=torch.Generator().manual_seed(seed)).float()


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "width"), [(2, 1, 1), (60, 90, 3), (150, 40, 64), (33, 33, 512)])
@given(seed=SEEDS)
def test_value_is_the_definition(n: int, m: int, width: int, seed: int) -> None:
    train, fake = normal(seed, n, width), normal(seed + 1, m, width, 0.1, 0.9)
    assert ours(train, fake) == pytest.approx(brute_force(train, fake))


@pytest.mark.parametrize(("width", "levels"), [(1, 50), (2, 6), (3, 4), (40, 2)])
@given(seed=SEEDS, origin=st.sampled_from([0.0, 0.25, 1e3, 1e5]))
def test_ties_are_strict_and_go_to_the_smallest_place(width: int, levels: int, seed: int, origin: float) -> None:
    train, fake = grid(seed, 45, width, levels) + origin, grid(seed + 1, 35, width, levels) + origin
    assert ours(train, fake) == pytest.approx(brute_force(train, fake))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
@pytest.mark.parametrize("mean", [0.0, 1e3, 1e5])
@given(seed=SEEDS)
def test_far_from_the_origin_and_at_any_scale(mean: float, scale: float, seed: int) -> None:
    train, fake = normal(seed, 50, 16, mean) * scale, normal(seed + 1, 40, 16, mean) * scale
    assert ours(train, fake) == pytest.approx(brute_force(train, fake))


@given(SEEDS, st.sampled_from([0.0, 1e4]))
def test_copies_score_nothing(seed: int, mean: float) -> None:
    train = normal(seed, 40, 8, mean)
    assert ours(train, torch.cat([train, train[:7]])) == 0


def test_samples_far_from_all_training_samples_are_authentic() -> None:
    assert ours(normal(0, 40, 8), normal(1, 30, 8, mean=100)) == 100


@pytest.mark.parametrize(
    ("fake", "expected"),
    [
        ([0.0], 0),  # a copy
        ([1.0], 0),  # half-way: nearer than the neighbour
        ([-2.0], 0),  # exactly as far as the neighbour: strict
        ([-2.5], 100),
        ([3.0, -1.0], 0),
        ([6.0], 100),  # as near to 2 as to 10: the first, whose neighbour is nearer
        ([6.5], 0),
    ],
)
def test_by_the_ruler(fake: list[float], expected: float) -> None:
    assert ours(torch.tensor([[0.0], [2.0], [10.0]]), torch.tensor(fake).unsqueeze(1)) == expected


def test_a_third_is_authentic_where_both_sides_are_uniform_on_a_line() -> None:
    """With n points a unit, y is at d ~ Exp(2n) from t*, whose gap on the far side is g ~ Exp(n): P(g < d) = 1/3."""
    random = torch.Generator().manual_seed(0)
    draws = [ours(torch.rand(400, 1, generator=random), torch.rand(400, 1, generator=random)) for _ in range(60)]
    assert abs(np.mean(draws) - 100 / 3) < 5 * np.std(draws) / len(draws) ** 0.5


# --- ranks, orders, states --------------------------------------------------------------------------------------------


def on_a_rank(group: Any, samples: dict[str, Features]) -> tuple[float, float]:
    comm = Comm(group)
    return compute(AuthPct(), samples, comm)["authpct"], compute_unbound(AuthPct(), samples, comm)["authpct"]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("rows", [normal, grid])
def test_ranks_and_orders_do_not_matter(ranks: Ranks, world_size: int, rows: Any) -> None:
    train, fake = (indexed(rows(seed, n, 3, 4)) for seed, n in ((0, 50), (1, 41)))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    shares = [
        {"train": train[order[rank::world_size]], "fake": fake[torch.arange(41) % world_size == rank]}
        for rank in range(world_size)
    ]
    expected = ours(train.pool, fake.pool)  # pyright: ignore[reportArgumentType]
    assert ranks.run(world_size, on_a_rank, each=shares) == [(expected, expected)] * world_size


def test_a_frozen_training_side_leaves_counts_alone_of_generated_samples() -> None:
    measure, samples = AuthPct(), {"train": indexed(normal(0, 90, 3)), "fake": indexed(normal(1, 70, 3))}
    found = lives(measure, samples, "train")
    assert {how: lived.values for how, lived in found.items()} == dict.fromkeys(found, compute(measure, samples))
    assert {how: lived.rows_kept for how, lived in found.items()} == dict.fromkeys(found, 0) | {"nothing frozen": 70}


def test_a_bound_form_is_declared_before_there_are_data() -> None:
    bare, full = Authentic(3), Authentic(3, FixedRows(torch.zeros(4, 3)), torch.zeros(4, dtype=torch.float64))
    assert (bare, bare.name, hash(bare)) == (full, full.name, hash(full))
    assert torch.equal(bare.empty()["counts"], full.empty()["counts"])


@pytest.mark.parametrize("counts", [[3, 4], [-1, 0], [2, -1]])
def test_states_that_cannot_be_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="no more authentic points than points"):
        Authentic(3).check({"counts": torch.tensor(counts)})


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "m", "told"), [(1, 5, "2 train samples, got 1. Remedy: update.*role"), (5, 0, "1 fake samples, got 0")]
)
def test_too_few_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"AuthPct needs at least {told}"):
        ours(normal(0, n, 2), normal(1, m, 2))


def test_the_scalar_says_what_it_is() -> None:
    (scalar,) = AuthPct().scalars
    assert (scalar.key, scalar.better, AuthPct().describe()) == ("authpct", "higher", "authpct")
