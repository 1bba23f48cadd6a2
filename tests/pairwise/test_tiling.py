"""Tiles of two shards: every pair once, in blocks of any size."""

from __future__ import annotations

import pytest
import torch
from brute_force import WIDTH, rows_of

from streaming_metrics.pairwise import Shard, Tiling, tiling
from streaming_metrics.pairwise.tiling import tiles

TILINGS = Tiling(4, 1), Tiling(4, 2), Tiling(3), Tiling(1, 10), Tiling(), Tiling(9, halved=1), Tiling(halved=3)


@pytest.mark.parametrize("by", TILINGS, ids=repr)
def test_a_side_with_itself_shows_every_pair_from_both_ends(by: Tiling) -> None:
    local, other = (Shard(rows_of("plain", seed, 10), torch.arange(10), torch.zeros(WIDTH)) for seed in (0, 1))
    for remote in (local, other):
        seen = torch.zeros(10, 10)
        for tile in tiles(local, remote, tiling=by):
            rows, columns = tile.rows.which, tile.columns.which
            seen[rows, columns] += 1
            seen[columns, rows] += tile.mirrored
            torch.testing.assert_close(tile.products, local.rows[rows] @ remote.rows[columns].T)
            assert tile.diagonal == (remote is local and rows == columns)
        assert (seen == 1).all()


@pytest.mark.parametrize(("halved", "largest"), [(9, 5), (5, 3), (3, 2), (1, 1)])
def test_halves_of_a_block_with_itself_are_halved_again_where_it_pays(halved: int, largest: int) -> None:
    shard = Shard(rows_of("plain", 0, 10), torch.arange(10), torch.zeros(WIDTH))
    diagonal = [len(tile.rows) for tile in tiles(shard, shard, tiling=Tiling(halved=halved)) if tile.diagonal]
    assert (max(diagonal), sum(diagonal)) == (largest, 10)


@pytest.mark.parametrize(("at_home", "size"), [(True, 1680), (False, 896)])
def test_tiles_suit_the_library_that_multiplies(at_home: bool, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "multiplies_by_mkl", lambda: at_home)
    rows = torch.zeros(2000, 1)
    shard = Shard(rows, torch.arange(2000), torch.zeros(1))
    assert {len(tile.rows) for tile in tiles(shard, Shard(rows, shard.position, shard.centre))} == {
        *(len(part) for part in rows.split(size))
    }
