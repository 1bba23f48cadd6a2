"""Retrieved: count of generated images whose own caption is found among captions of a fixed side."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.pairwise.chunks import parts, rows_per_chunk
from streaming_metrics.pairwise.distances import summation_error
from streaming_metrics.precision import full_precision
from streaming_metrics.statistics.bank import check_captions
from streaming_metrics.statistics.index import hashed
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State

TEXT = "text"
"""The column of captions' embeddings."""
ROUNDING = 1e-12
"""Cosines so close are equal: in float64 they are rounded at 1e-15, another way in batches of another size."""


@dataclass(frozen=True, eq=False)
class CaptionPool:
    """Captions among which those of generated images are looked for.

    Args:
        captions: ``(P,)`` int64, different hashes.
        text: ``(P, D)``, their embeddings.
        seed: of the draws.
    """

    captions: Tensor
    text: Tensor
    seed: int

    def others(self, captions: Tensor, n: int) -> Tensor:
        """Return the places ``(N, n)`` of n captions for each given one: other ones, drawn by its hash and the seed."""
        drawn_for = hashed(captions ^ hashed(torch.tensor(self.seed, device="cpu"))).unsqueeze(1)
        keys = hashed(self.captions ^ drawn_for)
        own = self.captions == captions.unsqueeze(1)
        return keys.masked_fill_(own, torch.iinfo(torch.int64).max).topk(n, largest=False).indices

    def as_near(self, images: Tensor, own: Tensor, others: Tensor) -> Tensor:
        """Return how many other captions are at least as near to each image as its own ``(N,)``.

        Cosines are bounded in float32; those that the bounds leave open, a few in a hundred, are made in float64.

        Args:
            images: ``(N, D)`` float64, of norm 1.
            own: ``(N,)`` float64, the cosine of each and its own caption.
            others: ``(N, n)``, places of the other captions.
        """
        with full_precision(images.device):
            nearer = (images.float() @ self._unit.float().T).gather(1, others).double() - own.unsqueeze(1)
        rounding = 2 * summation_error(images.shape[1])
        which, columns = (nearer.abs() <= rounding).nonzero(as_tuple=True)
        for part in parts(len(which), rows_per_chunk(images)):
            row, column = which[part], columns[part]
            nearer[row, column] = (images[row] * self._unit[others[row, column]]).sum(1) - own[row]
        return (nearer >= -ROUNDING).sum(1)

    @cached_property
    def _unit(self) -> Tensor:
        return normalized(self.text)

    def to(self, device: torch.device) -> CaptionPool:
        """Return the pool on a device."""
        if self.text.device == device:
            return self
        return CaptionPool(self.captions.to(device), self.text.to(device), self.seed)


@dataclass(frozen=True)
class Retrieved(Sums):
    """Numbers of images that have passed, and of those whose own caption was found: ``counts (2,) int64``.

    Args:
        num_features: D.
        candidates, r, most, seed: as of :class:`~streaming_metrics.RPrecision`.
        pool: the same on every rank; None before there is one, when there are no counts.
    """

    num_features: int
    candidates: int
    r: int
    most: int
    seed: int
    pool: CaptionPool | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"retrieved_{self.num_features}_{self.candidates}_{self.r}_{self.most}_{self.seed}"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.column, TEXT, "captions"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((2,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.pool is not None
        images, text = (normalized(self.rows_of(features, column)) for column in (self.column, TEXT))
        pool, captions = self.pool.to(images.device), check_captions(features.captions, len(images))
        others = pool.others(captions, self.candidates - 1)
        found = pool.as_near(images, (images * text).sum(1), others) < self.r
        return {"counts": torch.stack([torch.ones_like(found).sum(), found.sum()])}

    def check(self, state: State) -> None:
        super().check(state)
        images, found = state["counts"].tolist()
        self._expect(0 <= found <= images, "no more found captions than images")

    def bounds(self, state: State) -> tuple[float, float]:
        images = float(state["counts"][0])
        return (images, images) if self.pool is not None else (0, inf)


def normalized(rows: Tensor) -> Tensor:
    """Return rows of norm 1, float64; zeros stay, and are as near to anything."""
    rows = rows.float().double()  # as a bank holds them, so that both forms compare the same
    return torch.nn.functional.normalize(rows, dim=1, eps=torch.finfo(torch.float64).tiny)
