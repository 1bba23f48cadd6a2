"""Pair reductions against dense brute force over any sharding, between any roles."""

from __future__ import annotations

import pytest
import torch
from brute_force import SIZES, check, dealt, dense, rows_of, sides_of, swept, whole
from conftest import REDUCTIONS
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.pairwise import (
    BallCounts,
    Balls,
    Draw,
    Nearest,
    PairContext,
    PairReduction,
    PolynomialKernel,
    Shard,
    SubsetSums,
    Tiling,
)
from streaming_metrics.pairwise.balls import squared_radii
from streaming_metrics.pairwise.sweep import sweep

SEEDS = st.integers(0, 2**31 - 1)
KINDS = st.sampled_from(["plain", "grid", "far", "doubled"])
SIZES_OF_TILES, HALVED = st.sampled_from([3, 16, 1024]), st.sampled_from([2, 5, 512])
TILINGS = st.builds(Tiling, SIZES_OF_TILES, st.integers(1, 4), st.booleans(), HALVED)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS, ids=repr)


@every_reduction
@given(seed=SEEDS, kind=KINDS, world_size=st.integers(1, 4), tiling=TILINGS)
@settings(max_examples=6, deadline=None)
def test_any_sharding_is_dense_brute_force(
    reduction: PairReduction, seed: int, kind: str, world_size: int, tiling: Tiling
) -> None:
    sides, generator = sides_of(kind, seed), torch.Generator().manual_seed(seed)
    centre = torch.cat(list(sides.values())).mean(0)
    shards = {
        role: dealt(rows, torch.randint(world_size, (len(rows),), generator=generator), world_size, centre)
        for role, rows in sides.items()
    }
    check(reduction, swept(reduction, shards, tiling), sides)


@every_reduction
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_without_rows_adds_nothing(reduction: PairReduction, rank: int) -> None:
    sides = sides_of("plain", 0)
    owned = ((role, rows, torch.full((len(rows),), rank)) for role, rows in sides.items())
    shards = {role: dealt(rows, owner, 2, sides["real"].mean(0)) for role, rows, owner in owned}
    check(reduction, swept(reduction, shards), sides)


@pytest.mark.parametrize("strict", [True, False])
@given(seed=SEEDS, kind=KINDS, batch_size=st.integers(1, SIZES["fake"]), tiling=TILINGS)
@settings(max_examples=7, deadline=None)
def test_balls_count_points_as_they_come(strict: bool, seed: int, kind: str, batch_size: int, tiling: Tiling) -> None:
    sides = sides_of(kind, seed)
    balls = Balls(strict, sides["real"], squared_radii(sides["real"], 3, tiling))
    held, holds = zip(*(balls.count(batch, tiling) for batch in sides["fake"].split(batch_size)))
    counts = torch.cat([*held, torch.stack(holds).sum(0)])
    assert torch.equal(counts, dense(BallCounts("real", 3, strict), sides))


def test_reductions_in_one_sweep_are_reductions_alone() -> None:
    sides = sides_of("plain", 0)
    together = [reduction for reduction in REDUCTIONS if reduction.sides == ("fake", "real")]
    local, remote = (Shard(sides[role], torch.arange(SIZES[role]), sides["real"].mean(0)) for role in ("fake", "real"))
    radii = {radius: whole(radius, sides) for reduction in together for radius in reduction.requires}
    results = sweep(together, PairContext(SIZES, local, radii), [remote], Comm.single())
    assert len(results) > 5
    for reduction, result in results.items():
        assert torch.equal(result, whole(reduction, sides))


def test_balls_and_points_of_two_sides_share_a_sweep_in_either_direction() -> None:
    assert BallCounts("real", 3).sides == BallCounts("fake", 3).sides == ("fake", "real")
    assert BallCounts("train", 3) == BallCounts("train", 3, points="fake") != BallCounts("train", 3, points="real")


KERNEL = PolynomialKernel()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Nearest("real", "real"), "Nearest: expected two sides, got 'real' twice"),
        (lambda: BallCounts("fake", 3, points="fake"), "BallCounts: expected two sides, got 'fake' twice"),
        (lambda: Draw(2, 3, 0, ("fake", "fake")), "Draw: expected two sides, got 'fake' twice"),
        (lambda: SubsetSums("train", "fake", KERNEL, Draw(2, 3, 0)), r"expected sides among .*, got \['train'\]"),
    ],
)
def test_sides_that_are_none_are_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


def test_nearest_among_none_is_nowhere() -> None:
    sides = {"real": rows_of("plain", 0, 5), "fake": rows_of("plain", 1, 0)}
    assert whole(Nearest("real", "fake"), sides).isinf().all()


def test_among_many_that_rounding_cannot_tell_apart_the_nearest_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = (1e3 * torch.randn(6, 64, generator=generator)).repeat(40, 1)
    sides = {role: centres + 0.1 * torch.randn(240, 64, generator=generator) for role in ("real", "fake")}
    found, expected = (of(Nearest("real", "fake"), sides) for of in (whole, dense))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
