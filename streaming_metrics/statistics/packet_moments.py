"""Packet moments: count, mean and centred second moment of each packet of a column, stacked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.statistics.base import MOST_SAMPLES, State, Statistic, check_column, check_like, unless
from streaming_metrics.statistics.moments import Moments
from streaming_metrics.statistics.symmetric import is_semidefinite, is_symmetric

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features

NUMBERS_PER_MESSAGE = 2**23
"""Half matrices travel in messages of 64 MiB: each costs a rank the wait for all others."""
SIDES = "sides"
"""The column of heights and widths of images, in pixels."""
TYPICAL = 768
"""Width of the packets of images of 256 by 256."""


@dataclass(frozen=True)
class PacketMoments(Statistic):
    """Moments of each of P packets of a column, in float64: of packet p, columns ``p·W`` to ``(p + 1)·W − 1``.

    The state is ``moments (P, W + 1, W + 1)``, of each packet the state of :class:`Moments`, and, where the column
    ``sides`` tells them, ``sides (2,) int64``, height and width of the images, for images that lie and stand have equal
    W. Both are those of the first batch, and 0 before. Moments take ``8·P·(W + 1)²`` bytes: 0.35 MB for
    the 256 packets of images of 32 by 32, 4.9 MB for 64 by 64, 76 MB for 128 by 128, 1.2 GB for 256 by 256.

    Args:
        packets: P.
        column: of which features.
        sized: whether the column ``sides`` is at hand.

    Raises:
        ValueError: at update, of rows that are no whole number of packets, or of images of other sizes than before.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> moments = PacketMoments(2)
        >>> state = moments.update(moments.empty(), Features(packets=torch.tensor([[0.0, 1.0], [2.0, 1.0]])))
        >>> [moments.moments_of(state).mean(one).item() for one in moments.each(state)]
        [1.0, 1.0]
    """

    packets: int
    column: str = "packets"
    sized: bool = False

    def __post_init__(self) -> None:
        check_integer("packets", self.packets, least=1)
        check_column(self.column)
        check_flag("sized", self.sized)

    @property
    def name(self) -> str:
        return f"packet_moments_{self.packets}" + "_sized" * self.sized + unless("packets", self.column)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, SIDES) if self.sized else (self.column,)

    def empty(self, device: torch.device | str = "cpu") -> State:
        return self._zeros(0, device)

    def typical(self) -> State:
        return self._zeros(TYPICAL, "meta")

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        if not len(features):
            return lambda: state
        batch = self._by_packet(self.rows_of(features))
        width, moments = batch.shape[2], state["moments"]
        shapes: set[tuple[int, ...]] = {(width, *sides) for sides in self._sides_of(features)}
        if not self.count(state):
            moments = self._zeros(width, moments.device)["moments"]
        else:
            shapes.add(self.shape(state))
        self._check_shapes(shapes)
        [shape] = shapes
        n, mean, added = moments[0, 0, 0], moments[:, 0, 1:], batch.shape[1]
        total = n + added
        centre = batch.mean(1)
        step = centre - mean
        rows = torch.cat([batch - centre.unsqueeze(1), (step * (n * added / total).sqrt()).unsqueeze(1)], 1)
        moved = mean + step * (added / total)

        def write() -> State:
            moments[:, 1:, 1:].baddbmm_(rows.mT, rows)
            self._write(moments, total, moved)
            return {"moments": moments, **self._told(shape, moments.device)}

        return write

    def merge(self, states: Sequence[State]) -> State:
        filled = [state for state in states if self.count(state)] or [states[0]]
        shapes = {self.shape(state) for state in filled}
        self._check_shapes(shapes)
        [shape] = shapes
        some = [state["moments"] for state in filled]
        n = torch.stack([moments[0, 0, 0] for moments in some]).view(-1, 1, 1)
        means = torch.stack([moments[:, 0, 1:] for moments in some])
        total = n.sum()
        mean = (n * means).sum(0) / total.clamp(min=1)
        apart = ((means - mean) * n.sqrt()).transpose(0, 1)
        merged = torch.zeros_like(some[0])
        scatter = merged[:, 1:, 1:].baddbmm_(apart.mT, apart)
        for moments in some:
            scatter += moments[:, 1:, 1:]
        self._write(merged, total, mean)
        return {"moments": merged, **self._told(shape, merged.device)}

    def all_reduce(self, state: State, comm: Comm) -> State:
        """Return the merge of all ranks' states: sums ``[n, n·mean]``, then of half of each M2 about the common mean.

        A rank without samples learns the size from the others.
        """
        if comm.world_size == 1:
            return state
        shapes = {*zip(*map(comm.counts, self.shape(state)))} - {self.shape(self.empty())}
        self._check_shapes(shapes)
        if not shapes:
            return state
        [shape] = shapes
        own = state["moments"] if self.count(state) else self._zeros(shape[0], state["moments"].device)["moments"]
        n, mean = own[0, 0, 0], own[:, 0, 1:]
        sums = comm.sum(torch.cat([n.view(1), (n * mean).flatten()]))
        total, common = sums[0], (sums[1:] / sums[0].clamp(min=1)).view_as(mean)
        reduced = torch.empty_like(own)
        self._sum_scatter(comm, own[:, 1:, 1:], (mean - common) * n.sqrt(), out=reduced[:, 1:, 1:])
        self._write(reduced, total, common)
        return {"moments": reduced, **self._told(shape, reduced.device)}

    def _sum_scatter(self, comm: Comm, scatter: Tensor, apart: Tensor, out: Tensor) -> None:
        width = apart.shape[1]
        i, j = torch.triu_indices(width, width, device=scatter.device)
        for packets in torch.arange(self.packets).split(max(1, NUMBERS_PER_MESSAGE // len(i))):
            some = slice(int(packets[0]), int(packets[-1]) + 1)
            packed = comm.sum(scatter[some, i, j] + apart[some, i] * apart[some, j])
            out[some, i, j] = packed
            out[some, j, i] = packed

    def check(self, state: State) -> None:
        expected = sorted(self.empty("meta"))
        self._expect(sorted(state) == expected, f"{' and '.join(expected)}, got {sorted(state)}")
        moments = state["moments"]
        width = moments.shape[-1] - 1 if moments.ndim == 3 else 0
        check_like(f"{self.name}.moments", moments, self._zeros(width, "meta")["moments"])
        self._expect(moments.isfinite().all(), "finite values, got NaN or infinite ones")
        n = float(self.count(state))
        self._expect(0 <= n <= MOST_SAMPLES and n.is_integer(), f"a whole number of samples, got {n}")
        self._expect((moments[:, 0, 0] == n).all(), "one number of samples in all packets")
        self._expect(n or not moments.any(), "zeros where there is no sample")
        self._expect(not n or width, "packets of a width, got none")
        if self.sized:
            check_like(f"{self.name}.sides", state[SIDES], self.empty("meta")[SIDES])
            self._expect((state[SIDES] >= bool(n)).all() and (n or not state[SIDES].any()), "the sides of images")
        self._expect(moments[:, 0].equal(moments[:, :, 0]), "the means twice, as rows and as columns")
        for one in moments[:, 1:, 1:]:
            self._expect(is_symmetric(one) and (one.diagonal() >= 0).all(), "symmetric covariances")
            self._expect(is_semidefinite(one), "covariances, got a matrix with a negative eigenvalue")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(self.count(state))
        return n, n

    def count(self, state: State) -> Tensor:
        """Return n, float64 ``()``."""
        return state["moments"][0, 0, 0]

    def moments_of(self, state: State) -> Moments:
        """Return the statistic whose state :meth:`each` packet's is."""
        return Moments(self.width(state["moments"]), self.column)

    def each(self, state: State) -> list[State]:
        """Return the state of each packet, as views."""
        return [{"moments": one} for one in state["moments"]]

    @staticmethod
    def width(moments: Tensor) -> int:
        """Return W of a state's tensor; 0 of no samples."""
        return moments.shape[1] - 1

    def _zeros(self, width: int, device: torch.device | str) -> State:
        moments = torch.zeros(self.packets, width + 1, width + 1, dtype=torch.float64, device=device)
        return {"moments": moments, **self._told((width, 0, 0), device)}

    def _told(self, shape: tuple[int, ...], device: torch.device | str) -> State:
        """Return what the state holds of a shape beside moments."""
        return {SIDES: torch.tensor(shape[1:], device=device)} if self.sized else {}

    def shape(self, state: State) -> tuple[int, ...]:
        """Return W, and the sides of the images where they are told; 0 of no samples."""
        return self.width(state["moments"]), *(state[SIDES].tolist() if self.sized else ())

    def _sides_of(self, features: Features) -> list[list[int]]:
        """Return the different sides of images; one that says nothing where they are not told."""
        return features.sides.long().unique(dim=0).tolist() if self.sized else [[]]

    def _by_packet(self, rows: Tensor) -> Tensor:
        """Return rows ``(N, P·W)`` as ``(P, N, W)`` float64."""
        if rows.shape[1] % self.packets:
            raise ValueError(
                f"{self.name}: expected {self.packets} packets of one width, got {rows.shape[1]} numbers a sample; "
                "nothing was added. Remedy: the column that extractor='wavelet-packets' yields."
            )
        return rows.view(len(rows), self.packets, -1).transpose(0, 1).double()

    def _check_shapes(self, shapes: set[tuple[int, ...]]) -> None:
        if len(shapes) > 1:
            one, other = map(size_of, sorted(shapes)[:2])
            raise ValueError(
                f"{self.name}: expected images of one size, got {one} and {other}; nothing was added. Remedy: crop or "
                "resize all images to one size first."
            )

    @staticmethod
    def _write(moments: Tensor, n: Tensor, mean: Tensor) -> None:
        moments[:, 0, 0] = n
        moments[:, 0, 1:] = mean
        moments[:, 1:, 0] = mean


def size_of(shape: tuple[int, ...]) -> str:
    """Return words for a size: its sides, or what packets of it hold."""
    width, *sides = shape
    return " by ".join(map(str, sides)) if sides else f"packets of {width} numbers"
