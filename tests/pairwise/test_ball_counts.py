"""Ball counts that bfloat16 bounds first: few pairs are left to measure, and where many are, products are refined."""

from __future__ import annotations

import pytest
import torch
from brute_force import whole
from scores import normal

from streaming_metrics.pairwise import BallCounts, Radii, Shard, Tiling, inside, radii
from streaming_metrics.pairwise.inside import count_inside
from streaming_metrics.pairwise.tiling import tiles

BF16, FLOAT32 = Tiling(bf16=True), Tiling(bf16=False)
WIDE = {"real": normal(0, 900, 512), "fake": normal(1, 700, 512, 0.02, 1.02)}


@pytest.mark.parametrize("balls", ["real", "fake"])
def test_bfloat16_leaves_few_pairs_to_measure(balls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    for module in (radii, inside):
        monkeypatch.setattr(
            module,
            "pair_distances",
            lambda *pairs, measure=module.pair_distances: measured.append(len(pairs[2])) or measure(*pairs),
        )
    counts = whole(BallCounts(balls, 5), WIDE, BF16)
    assert 0 < sum(measured) < 0.01 * (900 + 700) ** 2 / 2
    assert torch.equal(counts, whole(BallCounts(balls, 5), WIDE, FLOAT32))


@pytest.mark.parametrize(("offset", "is_refined"), [(0.0, False), (300.0, True)])
def test_where_rounding_leaves_too_much_open_products_are_refined(offset: float, is_refined: bool) -> None:
    sides = {role: torch.cat([rows[:300], rows[300:600] + offset]) for role, rows in WIDE.items()}
    points, balls = (Shard(sides[role], torch.arange(600), sides["real"].mean(0)) for role in ("fake", "real"))
    squared = whole(Radii("real", 5), sides, FLOAT32)
    (tile,) = tiles(points, balls, bf16=True)
    held, holds, _ = count_inside(tile, squared, strict=True)
    assert ("refined" in vars(tile)) == is_refined
    assert torch.equal(torch.cat([held, holds]), whole(BallCounts("real", 5), sides, FLOAT32))
