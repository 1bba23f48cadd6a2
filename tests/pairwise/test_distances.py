"""Exact distances of pairs, and the bounds that tiles give."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal

from streaming_metrics.pairwise import Shard, distances
from streaming_metrics.pairwise.distances import UNDERFLOW, distance_bounds, pair_distances, squared_distances
from streaming_metrics.pairwise.shards import Block
from streaming_metrics.pairwise.tiles import BF16_PRODUCT_ERROR, SQUARED_ERROR, Tile, spread

SEEDS = st.integers(0, 2**31 - 1)


def whole_tile(x: torch.Tensor, y: torch.Tensor, centre: torch.Tensor, bf16: bool = False) -> Tile:
    rows, columns = (Shard(side, torch.arange(len(side)), centre) for side in (x, y))
    return Tile(Block(rows, slice(0, len(x))), Block(columns, slice(0, len(y))), bf16=bf16)


def exact(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.stack([squared_distances(row.expand_as(y), y) for row in x])


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
    monkeypatch.setattr(
        distances, "squared_distances", lambda *pair: most.append(len(pair[0])) or squared_distances(*pair)
    )
    assert torch.equal(pair_distances(x, y, rows, columns, chunk_bytes=7 * 16 * 50), expected)
    assert max(most) == 7
    assert len(pair_distances(x, y, rows[:0], columns[:0])) == 0


# --- bounds -----------------------------------------------------------------------------------------------------------


def of_all_scales(seed: int, n: int, width: int, spread: float, scale: float, mean: float) -> torch.Tensor:
    """Rows from 10^−spread to 10^spread, half of them equal to others or a few roundings apart."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, width, generator=generator) * 10 ** (spread * (2 * torch.rand(n, 1, generator=generator) - 1))
    nudges = 2.0**-23 * torch.randint(3, (n // 2, width), generator=generator)
    return scale * (torch.cat([rows[: n // 2], rows[: n // 2] * (1 + nudges)]) + mean)


@pytest.mark.parametrize("width", [1, 2, 63, 2048])
@given(seed=SEEDS, spread_of=st.sampled_from([0.0, 3.0, 12.0]), mean=st.sampled_from([0.0, 1.0, 1e5]))
@pytest.mark.parametrize("scale", [1e-22, 1e-19, 1e-15, 1.0])
@pytest.mark.parametrize("bf16", [False, True])
@settings(max_examples=8, deadline=None)
def test_bounds_hold_the_distance_and_are_no_wider_than_slack(
    width: int, scale: float, bf16: bool, seed: int, spread_of: float, mean: float
) -> None:
    rows = of_all_scales(seed, 40, width, spread_of, scale, mean)
    tile = whole_tile(rows[:20], rows[20:], rows.mean(0), bf16)
    low, high, true = tile.low.double(), tile.high.double(), exact(rows[:20], rows[20:])
    assert (low <= true).all()
    assert (true <= high).all()
    norms = tile.rows.norms.unsqueeze(1) + tile.columns.norms.unsqueeze(0)
    floor = 9 * width * UNDERFLOW
    assert (high - low <= 2.5 * (tile.slack + bf16 * BF16_PRODUCT_ERROR) * norms + floor).all()
    assert (true <= low + spread(tile.rows.shard, tile.columns.shard, bf16, tile.low, norms)).all()
    assert tile.slack < (0.01 if bf16 else 2e-4)


def test_equal_positive_rows_where_rounding_adds_up() -> None:
    rows = torch.full((8, 2048), 1 / 3) * torch.linspace(1, 1 + 1e-6, 8).unsqueeze(1)
    for bf16 in (False, True):
        tile = whole_tile(rows, rows, torch.zeros(2048), bf16)
        assert (tile.low <= exact(rows, rows)).all()
        assert (exact(rows, rows) <= tile.high).all()


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


# --- squared distances of a tile --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 63, 2048])
@pytest.mark.parametrize("scale", [1e-22, 1.0, 1e14])
@given(seed=SEEDS, spread_of=st.sampled_from([0.0, 3.0, 12.0]), mean=st.sampled_from([0.0, 1.0, 1e5]))
@settings(max_examples=5, deadline=None)
def test_squared_distances_of_a_tile_are_as_accurate_as_they_say(
    width: int, scale: float, seed: int, spread_of: float, mean: float
) -> None:
    rows = of_all_scales(seed, 40, width, spread_of, scale, mean)
    for x, y in ((rows[:20], rows[20:]), (rows[::2], rows[1::2])):  # the second: each with its near copies
        true = exact(x, y)
        assert ((whole_tile(x, y, rows.mean(0)).squared - true).abs() <= SQUARED_ERROR * true).all()


@pytest.mark.parametrize("apart", [0.0, 1e2, 1e4, 1e6])
def test_clusters_far_apart_keep_their_own_distances(apart: float) -> None:
    rows = normal(0, 60, 128)
    rows[30:] += apart
    rows[::7] = rows[0] + 2.0**-20 * torch.arange(128)
    tile = whole_tile(rows, rows, rows.mean(0))
    true = exact(rows, rows)
    assert ((tile.squared - true).abs() <= SQUARED_ERROR * true).all()
    assert (tile.squared[true == 0] == 0).all()


def test_only_near_pairs_are_measured_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    monkeypatch.setattr(
        "streaming_metrics.pairwise.distances.pair_distances",
        lambda *pairs: measured.append(len(pairs[2])) or pair_distances(*pairs),
    )
    rows = normal(0, 200, 2048)
    rows[1] = rows[0]
    shard = Shard(rows, torch.arange(200), rows.mean(0))
    block = Block(shard, slice(0, 200))
    squared = Tile(block, block, diagonal=True).squared
    assert measured == [2]
    assert squared[0, 1] == squared[1, 0] == 0
    assert (squared.diagonal() == 0).all()
