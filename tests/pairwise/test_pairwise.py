"""Folds against dense brute force over any sharding, and the exact distances and bounds that they stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from conftest import REDUCTIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal
from sklearn.neighbors import NearestNeighbors

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.pairwise import (
    BallCounts,
    Balls,
    Draw,
    KernelSums,
    PolynomialKernel,
    Radii,
    Setting,
    Shard,
    base,
    neighbours,
)
from streaming_metrics.pairwise import balls as ball_module
from streaming_metrics.pairwise import sweep as sweeping
from streaming_metrics.pairwise.base import (
    BLUR,
    UNDERFLOW,
    Block,
    PairReduction,
    Tile,
    distance_bounds,
    pair_distances,
    squared_distances,
)
from streaming_metrics.pairwise.sweep import sweep, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
N, M, WIDTH = 40, 31, 6
KINDS = st.sampled_from(["plain", "grid", "far", "doubled"])
every_fold = pytest.mark.parametrize("reduction", REDUCTIONS, ids=repr)


def rows_of(kind: str, seed: int, n: int) -> Tensor:
    rows = normal(seed, n, WIDTH, mean=1e3 if kind == "far" else 0.0)
    if kind == "grid":
        return (rows > 0).float()
    return rows[torch.arange(n) // 2] if kind == "doubled" else rows


def dealt(rows: Tensor, owner: Tensor, world_size: int, centre: Tensor) -> list[Shard]:
    """Return one side's shards: row i lies on rank ``owner[i]``."""
    return [Shard(rows[owner == rank], (owner == rank).nonzero().squeeze(1), centre) for rank in range(world_size)]


def swept(reduction: PairReduction, real: Sequence[Shard], fake: Sequence[Shard]) -> Tensor:
    """Return the result over simulated ranks: their sweeps, ring order and all, added up."""
    sides, sizes = {"real": real, "fake": fake}, [sum(map(len, side)) for side in (real, fake)]
    needed = {need: swept(need, real, fake) for need in reduction.needs}
    rows, columns = (sides[role] for role in reduction.sides)
    rings = [[columns[rank - hop] for hop in range(len(rows))] for rank in range(len(rows))]
    settings_of = [Setting(*sizes, own, needed) for own in rows]
    return sum(sweep([reduction], setting, ring, Comm.single())[reduction] for setting, ring in zip(settings_of, rings))


def whole(reduction: PairReduction, real: Tensor, fake: Tensor) -> Tensor:
    return swept(reduction, *(dealt(rows, torch.zeros(len(rows)), 1, real.mean(0)) for rows in (real, fake)))


def distances(x: Tensor, y: Tensor) -> Tensor:
    return (x.double()[:, None] - y.double()[None]).square().sum(2)


def kernel_values(kernel: PolynomialKernel, x: Tensor, y: Tensor) -> Tensor:
    gamma = 1 / x.shape[1] if kernel.gamma is None else kernel.gamma
    values = (gamma * (x.double() @ y.double().T) + kernel.coef) ** kernel.degree
    return values.fill_diagonal_(0) if x is y else values


def dense(reduction: PairReduction, real: Tensor, fake: Tensor) -> Tensor:
    """What a reduction is, over whole matrices."""
    sides = {"real": real, "fake": fake}
    x, y = (sides[role] for role in reduction.sides)
    if isinstance(reduction, Radii):
        return distances(x, x).sort(1).values[:, reduction.k]
    if isinstance(reduction, BallCounts):
        points, balls = (fake, real) if reduction.balls == "real" else (real, fake)
        radii = distances(balls, balls).sort(1).values[:, reduction.k]
        inside = distances(points, balls) < radii if reduction.strict else distances(points, balls) <= radii
        return torch.cat([inside.sum(1), inside.sum(0)])
    values = kernel_values(reduction.kernel, x, y)
    if isinstance(reduction, KernelSums):
        return values.sum(1) if x is y else torch.cat([values.sum(1), values.sum(0)])
    places = reduction.draw.places(len(real), len(fake))
    subsets = zip(*(places[role] for role in reduction.sides))
    return torch.stack([values[rows][:, columns].sum() for rows, columns in subsets])


def check(reduction: PairReduction, result: Tensor, real: Tensor, fake: Tensor) -> None:
    expected = dense(reduction, real, fake)
    assert result.dtype == expected.dtype
    tolerance = 0.0 if isinstance(reduction, BallCounts) else 1e-14 if isinstance(reduction, Radii) else 1e-6
    torch.testing.assert_close(result, expected, rtol=tolerance, atol=0 if tolerance < 1e-6 else 1e-6)


# --- reductions over any sharding --------------------------------------------------------------------------------


@every_fold
@given(seed=SEEDS, kind=KINDS, world_size=st.integers(1, 4), tile=st.sampled_from([3, 16, 1024]), rough=st.booleans())
@settings(max_examples=12, deadline=None)
def test_any_sharding_is_dense_brute_force(
    reduction: PairReduction, seed: int, kind: str, world_size: int, tile: int, rough: bool
) -> None:
    real, fake = rows_of(kind, seed, N), rows_of(kind, seed + 1, M)
    generator = torch.Generator().manual_seed(seed)
    owners = [torch.randint(world_size, (n,), generator=generator) for n in (N, M)]
    centre = torch.cat([real, fake]).mean(0)
    with pytest.MonkeyPatch.context() as patch:
        for module in (neighbours, sweeping):
            patch.setattr(module, "TILE", tile)
        patch.setattr(sweeping, "rough_pays", lambda _: rough)
        shards = (dealt(rows, owner, world_size, centre) for rows, owner in zip((real, fake), owners))
        check(reduction, swept(reduction, *shards), real, fake)


@every_fold
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_without_rows_adds_nothing(reduction: PairReduction, rank: int) -> None:
    real, fake = rows_of("plain", 0, N), rows_of("plain", 1, M)
    shards = [dealt(rows, torch.full((len(rows),), rank), 2, real.mean(0)) for rows in (real, fake)]
    check(reduction, swept(reduction, *shards), real, fake)


@pytest.mark.parametrize("strict", [True, False])
@given(seed=SEEDS, kind=KINDS, batch_size=st.integers(1, M), tile=st.sampled_from([3, 16, 1024]), rough=st.booleans())
@settings(max_examples=15, deadline=None)
def test_balls_count_points_as_they_come(
    strict: bool, seed: int, kind: str, batch_size: int, tile: int, rough: bool
) -> None:
    real, fake = rows_of(kind, seed, N), rows_of(kind, seed + 1, M)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeping, "TILE", tile)
        for module in (sweeping, ball_module):
            patch.setattr(module, "rough_pays", lambda _: rough)
        balls = Balls.around(real, 3, strict)
        counts = [balls.count(batch) for batch in fake.split(batch_size)]
    held, holds = torch.cat([held for held, _ in counts]), torch.stack([holds for _, holds in counts]).sum(0)
    assert torch.equal(torch.cat([held, holds]), dense(BallCounts("real", 3, strict), real, fake))


def test_balls_are_equal_by_rows_k_and_strictness() -> None:
    real, other = rows_of("plain", 0, N), rows_of("plain", 1, N)
    assert Balls.around(real, 3) == Balls.around(real.clone(), 3)
    for balls in (Balls.around(other, 3), Balls.around(real, 2), Balls.around(real, 3, strict=False)):
        assert balls != Balls.around(real, 3)
        assert balls.fingerprint != Balls.around(real, 3).fingerprint


def test_folds_in_one_sweep_are_folds_alone() -> None:
    real, fake = rows_of("plain", 0, N), rows_of("plain", 1, M)
    between = [reduction for reduction in REDUCTIONS if reduction.sides == ("fake", "real")]
    own, visitor = (Shard(rows, torch.arange(len(rows)), real.mean(0)) for rows in (fake, real))
    radii = {radius: whole(radius, real, fake) for radius in (Radii("real", 3), Radii("fake", 3))}
    for reduction, result in sweep(between, Setting(N, M, own, radii), [visitor], Comm.single()).items():
        assert torch.equal(result, whole(reduction, real, fake))


def test_a_side_with_itself_shows_every_pair_from_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "TILE", 4)
    own, other = (Shard(rows_of("plain", seed, 10), torch.arange(10), torch.zeros(WIDTH)) for seed in (0, 1))
    for visitor in (own, other):
        seen = torch.zeros(10, 10)
        for tile in tiles(own, visitor):
            rows, columns = tile.rows.which, tile.columns.which
            seen[rows, columns] += 1
            seen[columns, rows] += tile.mirrored
            torch.testing.assert_close(tile.products, own.rows[rows] @ visitor.rows[columns].T)
            assert tile.diagonal == (visitor is own and rows == columns)
        assert (seen == 1).all()


@given(SEEDS, st.integers(1, 20), st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_radii_are_sklearns(seed: int, k: int, width: int) -> None:
    rows = normal(seed, 60, width)
    x = rows.double().numpy()
    nearest, _ = NearestNeighbors(n_neighbors=k + 1, algorithm="kd_tree").fit(x).kneighbors(x)
    expected = torch.from_numpy(nearest[:, k]).square()
    torch.testing.assert_close(whole(Radii("real", k), rows, rows), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("scale", [1e-22, 1e-19, 1e-17, 1.0])
def test_radii_of_few_and_tiny_features_are_exact(scale: float, rough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "rough_pays", lambda _: rough)
    for seed in range(40):
        rows = normal(seed, 5 + seed % 9, 8) * scale
        assert torch.allclose(
            whole(Radii("real", 3), rows, rows), dense(Radii("real", 3), rows, rows), rtol=1e-12, atol=0
        )


@given(seed=SEEDS, kind=KINDS, width=st.sampled_from([8, 120, 128, 256]), count=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_the_smallest_of_groups_are_the_smallest(seed: int, kind: str, width: int, count: int) -> None:
    low = rows_of(kind, seed, 30) @ rows_of(kind, seed + 1, width).T
    for values in (low, low.T.contiguous().T):
        smallest, columns = neighbours._smallest_of(values, count)
        assert torch.equal(values.gather(1, columns), smallest)
        expected = values.sort(1).values[:, :count]
        assert torch.equal(smallest.sort(1).values[:, :count], expected)


def test_fewer_neighbours_than_k_reach_everywhere() -> None:
    assert whole(Radii("real", 5), rows_of("plain", 0, 5), rows_of("plain", 1, 5)).isinf().all()


@pytest.mark.parametrize("seed", [2020, 7])
def test_a_draw_is_one_random_state_generated_rows_first(seed: int) -> None:
    places = Draw(subsets=4, size=9, seed=seed).places(num_real=N, num_fake=M)
    random = np.random.RandomState(seed)
    for fake, real in zip(places["fake"].tolist(), places["real"].tolist()):
        assert fake == random.choice(M, 9, replace=False).tolist()
        assert real == random.choice(N, 9, replace=False).tolist()


# --- exact distances --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 7, 64, 2047])
@given(seed=SEEDS, mean=st.sampled_from([0.0, 1e3]))
@settings(max_examples=3, deadline=None)
def test_squared_distances_have_the_same_bits_in_any_batch_and_order(width: int, seed: int, mean: float) -> None:
    x, y = normal(seed, 33, width, mean), normal(seed + 1, 33, width, mean)
    together = squared_distances(x, y)
    torch.testing.assert_close(together, (x.double() - y.double()).square().sum(1), rtol=1e-14, atol=0)
    assert torch.equal(together, squared_distances(y, x))
    assert torch.equal(together, torch.cat([squared_distances(*pair) for pair in zip(x.split(1), y.split(1))]))
    assert torch.equal(together.flip(0), squared_distances(x.flip(0), y.flip(0)))
    assert torch.equal(together, squared_distances(x.T.contiguous().T, y))


def test_pairs_are_measured_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (Shard(normal(seed, 20, 50, 1e3), torch.arange(20), torch.full((50,), 1e3)) for seed in (0, 1))
    rows, columns = torch.arange(400) // 20, torch.arange(400) % 20
    expected = squared_distances(x.rows[rows], y.rows[columns])
    assert torch.equal(pair_distances(x, y, rows, columns), expected)
    most: list[int] = []
    monkeypatch.setattr(base, "BYTES_PER_CHUNK", 7 * 16 * 50)
    monkeypatch.setattr(base, "squared_distances", lambda *pair: most.append(len(pair[0])) or squared_distances(*pair))
    assert torch.equal(pair_distances(x, y, rows, columns), expected)
    assert max(most) == 7
    assert len(pair_distances(x, y, rows[:0], columns[:0])) == 0


# --- bounds -----------------------------------------------------------------------------------------------------------


def of_all_scales(seed: int, n: int, width: int, spread: float, scale: float, mean: float) -> Tensor:
    """Rows from 10^−spread to 10^spread, half of them equal to others or a few roundings apart."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, width, generator=generator) * 10 ** (spread * (2 * torch.rand(n, 1, generator=generator) - 1))
    nudges = 2.0**-23 * torch.randint(3, (n // 2, width), generator=generator)
    return scale * (torch.cat([rows[: n // 2], rows[: n // 2] * (1 + nudges)]) + mean)


@pytest.mark.parametrize("width", [1, 2, 63, 2048])
@given(seed=SEEDS, spread=st.sampled_from([0.0, 3.0, 12.0]), mean=st.sampled_from([0.0, 1.0, 1e5]))
@pytest.mark.parametrize("scale", [1e-22, 1e-19, 1e-15, 1.0])
@pytest.mark.parametrize("rough", [False, True])
@settings(max_examples=8, deadline=None)
def test_bounds_hold_the_distance_and_are_no_wider_than_slack(
    width: int, scale: float, rough: bool, seed: int, spread: float, mean: float
) -> None:
    rows = of_all_scales(seed, 40, width, spread, scale, mean)
    x, y = (Shard(part, torch.arange(20), rows.mean(0)) for part in rows.split(20))
    tile = Tile(Block(x, slice(0, 20)), Block(y, slice(0, 20)), rough=rough)
    low, high = tile.low.double(), tile.high.double()
    true = torch.stack([squared_distances(row.expand(20, width), y.rows) for row in x.rows])
    assert (low <= true).all()
    assert (true <= high).all()
    norms = x.norms.unsqueeze(1) + y.norms.unsqueeze(0)
    floor = 9 * width * UNDERFLOW
    assert (high - low <= 2.5 * (tile.slack + rough * BLUR) * norms + floor).all()
    assert (true <= low + tile.spread(tile.low, norms)).all()
    assert tile.slack < (0.01 if rough else 2e-4)


def test_equal_positive_rows_where_rounding_adds_up() -> None:
    rows = torch.full((8, 2048), 1 / 3) * torch.linspace(1, 1 + 1e-6, 8).unsqueeze(1)
    shard = Shard(rows, torch.arange(8), torch.zeros(2048))
    true = torch.stack([squared_distances(row.expand(8, 2048), rows) for row in rows])
    for rough in (False, True):
        tile = Tile(Block(shard, slice(0, 8)), Block(shard, slice(0, 8)), rough=rough)
        assert (tile.low <= true).all()
        assert (true <= tile.high).all()


@pytest.mark.parametrize("scale", [1e-22, 1.0, 1e14])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_distances_lie_within_the_bounds_of_float32_differences(scale: float, offset: float) -> None:
    generator, pairs = torch.Generator().manual_seed(0), torch.arange(200)
    x, y = (scale * (offset + torch.randn(200, 64, generator=generator)) for _ in range(2))
    shards = Shard(x, pairs, x[0]), Shard(y, pairs, x[0])
    low, high = distance_bounds(*shards, pairs, pairs)
    exact = pair_distances(*shards, pairs, pairs)
    assert ((low < exact) & (exact < high)).all()
    if scale == 1:
        assert ((high - low) / exact).max() < 1e-4
