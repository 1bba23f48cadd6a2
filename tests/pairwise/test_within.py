"""Values within reach of their rows, and float32 products, against what a comparison and a product say."""

from __future__ import annotations

import pytest
import torch
from brute_force import check, whole
from scores import normal

from streaming_metrics.pairwise import (
    BallCounts,
    Draw,
    Kernel,
    PolynomialKernel,
    RBFKernel,
    Shard,
    SubsetSums,
    Tiling,
    chunks,
    inside,
    products,
)
from streaming_metrics.pairwise.products import inner_products
from streaming_metrics.pairwise.tiling import tiles
from streaming_metrics.pairwise.within import above, below, within


@pytest.mark.parametrize("width", [1, 7, 8, 64, 120])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("kind", ["drawn", "tied", "equal"])
def test_what_is_within_reach_is_what_a_comparison_says(width: int, share: float, kind: str) -> None:
    values = {"drawn": normal(0, 40, width), "tied": normal(0, 40, width).round(), "equal": torch.ones(40, width)}[kind]
    values[::5, 0] = torch.inf
    for matrix in (values, values.T.contiguous().T):
        reach = torch.cat([matrix.quantile(share, 1)[:-1], torch.tensor([-torch.inf])])
        expected = (matrix <= reach.unsqueeze(1)).nonzero()
        rows, columns = within(matrix, reach)
        assert torch.equal(rows, expected[:, 0])
        order = (rows * width + columns).argsort()
        assert torch.equal(torch.stack([rows, columns], 1)[order], expected)
        assert within(matrix, reach, most=len(expected)) is not None


def test_neighbours_in_float32_lie_on_either_side() -> None:
    values = torch.tensor([0.1, 1.0, 16777217.0], dtype=torch.float64)
    assert (below(values).double() < values).all()
    assert (values < above(values).double()).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 7), (0, 3, 7), (5, 0, 7), (5, 3, 0), (100, 90, 300)])
@pytest.mark.parametrize("without", [False, True])
def test_products_are_those_of_rows(
    shape: tuple[int, int, int], without: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "multiplies_by_mkl", lambda: False)
    monkeypatch.setattr(products, "_onednn", (lambda: None) if without else products._onednn.__wrapped__)
    n, m, width = shape
    rows, columns = normal(0, n + 2, width)[2:], normal(1, m, width)
    torch.testing.assert_close(
        inner_products(rows, columns).double(), rows.double() @ columns.double().T, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("crowded", [-1.0, 1.0])
def test_balls_hold_the_same_whether_all_pairs_are_bounded_or_few(
    bf16: bool, crowded: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "CROWDED", crowded)
    sides = {"real": normal(0, 70, 300), "fake": normal(1, 57, 300, 0.0, 0.97)}
    sides["fake"][::9] = sides["real"][:7]
    for balls in ("real", "fake"):
        for strict in (True, False):
            reduction = BallCounts(balls, 4, strict=strict, visitors=True)
            check(reduction, whole(reduction, sides, Tiling(24, bf16=bf16)), sides)


@pytest.mark.parametrize("kernel", [PolynomialKernel(), RBFKernel((2.0,))], ids=["polynomial", "rbf"])
@pytest.mark.parametrize("bytes_per_strip", [1, 700, 1 << 19])
def test_strips_of_any_size_make_up_a_tile(
    kernel: Kernel, bytes_per_strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = normal(0, 50, 6)
    sides = {"real": rows, "fake": normal(1, 41, 6)}
    shard = Shard(rows, torch.arange(50), rows.mean(0))
    whole_tiles = [kernel.rest(tile) for tile in tiles(shard, shard, tiling=Tiling(20))]
    sums = SubsetSums("real", "fake", kernel, Draw(9, 23, 0))
    monkeypatch.setattr(chunks, "BYTES_PER_STRIP", bytes_per_strip)
    for tile, expected in zip(tiles(shard, shard, tiling=Tiling(20)), whole_tiles):
        torch.testing.assert_close(torch.cat([rest for _, rest in kernel.strips(tile)]), expected, rtol=1e-6, atol=1e-6)
    check(sums, whole(sums, sides, Tiling(20)), sides)
