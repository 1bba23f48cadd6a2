"""Brute force over whole matrices, and sweeps over simulated ranks: what reductions are tested against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scores import normal

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.pairwise import (
    BallCounts,
    Kernel,
    KernelSums,
    Nearest,
    PairContext,
    PairReduction,
    PolynomialKernel,
    Radii,
    RBFKernel,
    Shard,
    SubsetSums,
    Tiling,
)
from streaming_metrics.pairwise.misses import Misses
from streaming_metrics.pairwise.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

SIZES = {"real": 40, "fake": 31, "train": 23}
WIDTH = 6


def rows_of(kind: str, seed: int, n: int) -> Tensor:
    rows = normal(seed, n, WIDTH, mean=1e3 if kind == "far" else 0.0)
    if kind == "grid":
        return (rows > 0).float()
    return rows[torch.arange(n) // 2] if kind == "doubled" else rows


def sides_of(kind: str, seed: int) -> dict[str, Tensor]:
    return {role: rows_of(kind, seed + i, n) for i, (role, n) in enumerate(SIZES.items())}


def dealt(rows: Tensor, owner: Tensor, world_size: int, centre: Tensor) -> list[Shard]:
    """Return one side's shards: row i lies on rank ``owner[i]``."""
    return [Shard(rows[owner == rank], (owner == rank).nonzero().squeeze(1), centre) for rank in range(world_size)]


def swept(reduction: PairReduction, sides: Mapping[str, Sequence[Shard]], tiling: Tiling | None = None) -> Tensor:
    """Return the result over simulated ranks: their sweeps, ring order and all, added up."""
    tiling, sizes = tiling or Tiling(), {role: sum(map(len, shards)) for role, shards in sides.items()}
    required = {need: swept(need, sides, tiling) for need in reduction.requires}
    rows, columns = (sides[role] for role in reduction.sides)
    rings = [[columns[rank - hop] for hop in range(len(rows))] for rank in range(len(rows))]
    contexts = [PairContext(sizes, local, required, tiling) for local in rows]
    results = [sweep([reduction], context, ring, Comm.single())[reduction] for context, ring in zip(contexts, rings)]
    total = torch.stack(results).sum(0)
    return reduction.settled(total, sizes[reduction.balls]) if isinstance(reduction, BallCounts) else total


def whole(reduction: PairReduction, sides: Mapping[str, Tensor], tiling: Tiling | None = None) -> Tensor:
    """Return the result where one rank holds all."""
    centre = next(iter(sides.values())).mean(0)
    dealt_to_one = {role: dealt(rows, torch.zeros(len(rows)), 1, centre) for role, rows in sides.items()}
    return swept(reduction, dealt_to_one, tiling)


def distances(x: Tensor, y: Tensor) -> Tensor:
    return (x.double()[:, None] - y.double()[None]).square().sum(2)


def kernel_values(kernel: Kernel, x: Tensor, y: Tensor) -> Tensor:
    if isinstance(kernel, RBFKernel):
        values = torch.stack([(-distances(x, y) / (2 * width**2)).exp() for width in kernel.widths]).mean(0)
    else:
        assert isinstance(kernel, PolynomialKernel)
        gamma = 1 / x.shape[1] if kernel.gamma is None else kernel.gamma
        values = (gamma * (x.double() @ y.double().T) + kernel.coef) ** kernel.degree
    return values.fill_diagonal_(0) if x is y else values


def as_float16(values: Tensor) -> Tensor:
    """Return values rounded to float16 where it holds them: by NumPy, which does so in one step."""
    with np.errstate(over="ignore"):
        rounded = torch.from_numpy(values.numpy().astype(np.float16).astype(np.float64))
    return torch.where(rounded.isfinite(), rounded, values)


def dense(reduction: PairReduction, sides: Mapping[str, Tensor]) -> Tensor:
    """Return what a reduction is, over whole matrices."""
    x, y = (sides[role] for role in reduction.sides)
    if isinstance(reduction, Radii):
        return distances(x, x).sort(1).values[:, reduction.k]
    if isinstance(reduction, Nearest):
        squared, place = distances(x, y).min(1)
        return torch.stack([squared, place.double()])
    if isinstance(reduction, BallCounts):
        points, balls = sides[reduction.points], sides[reduction.balls]
        between, radii = distances(points, balls), distances(balls, balls).sort(1).values[:, reduction.k]
        if reduction.half:
            between, radii = as_float16(between), as_float16(radii)
        inside = between < radii if reduction.strict else between <= radii
        held, holds = inside.sum(1), inside.sum(0)
        only = torch.arange(len(points)) @ inside.long() * (holds == 1)
        return torch.cat([held, holds, *([only] if reduction.visitors else [])])
    if isinstance(reduction, Misses):
        points, centres = sides[reduction.points], sides[reduction.centres]
        radii = distances(centres, centres).sort(1).values[:, reduction.k].sqrt()
        return (distances(points, centres).sqrt() / (reduction.scale * radii.mean())).clamp(max=1).log().sum(1)
    assert isinstance(reduction, KernelSums | SubsetSums)
    values = kernel_values(reduction.kernel, x, y)
    if isinstance(reduction, KernelSums):
        return values.sum(1) if x is y else torch.cat([values.sum(1), values.sum(0)])
    places = reduction.draw.places(*(len(sides[role]) for role in reduction.draw.roles))
    subsets = zip(*(places[role] for role in reduction.sides))
    return torch.stack([values[rows][:, columns].sum() for rows, columns in subsets])


def tolerance_of(reduction: PairReduction) -> tuple[float, float]:
    """Return the relative and the absolute error that a reduction may have."""
    if isinstance(reduction, KernelSums | SubsetSums):
        return (1e-9, 1e-12) if isinstance(reduction.kernel, RBFKernel) else (1e-6, 1e-6)
    if isinstance(reduction, Misses):  # logarithms near 0, of distances within 2⁻³⁰
        return 1e-8, 1e-8
    return (0.0, 0.0) if isinstance(reduction, BallCounts) else (1e-14, 0.0)


def check(reduction: PairReduction, result: Tensor, sides: Mapping[str, Tensor]) -> None:
    expected = dense(reduction, sides)
    assert result.dtype == expected.dtype
    rtol, atol = tolerance_of(reduction)
    if isinstance(reduction, Nearest):  # among copies any is the nearest, and rounding of 1e-16 decides in brute force
        rows, columns = (sides[role] for role in reduction.sides)
        found = distances(rows, columns).gather(1, result[1].long()[:, None])[:, 0]
        expected = torch.stack([expected[0], result[1]])
        torch.testing.assert_close(found, result[0], rtol=rtol, atol=atol)
    torch.testing.assert_close(result, expected, rtol=rtol, atol=atol)
