"""Tiles of two shards: every pair once, in blocks of any size."""

from __future__ import annotations

import pytest
import torch
from brute_force import WIDTH, rows_of

from streaming_metrics.pairwise import Shard, Tiling
from streaming_metrics.pairwise.tiling import tiles


@pytest.mark.parametrize("tiling", [Tiling(4, 1), Tiling(4, 2), Tiling(3), Tiling(1, 10), Tiling()], ids=repr)
def test_a_side_with_itself_shows_every_pair_from_both_ends(tiling: Tiling) -> None:
    local, other = (Shard(rows_of("plain", seed, 10), torch.arange(10), torch.zeros(WIDTH)) for seed in (0, 1))
    for remote in (local, other):
        seen = torch.zeros(10, 10)
        for tile in tiles(local, remote, tiling=tiling):
            rows, columns = tile.rows.which, tile.columns.which
            seen[rows, columns] += 1
            seen[columns, rows] += tile.mirrored
            torch.testing.assert_close(tile.products, local.rows[rows] @ remote.rows[columns].T)
            assert tile.diagonal == (remote is local and rows == columns)
        assert (seen == 1).all()
