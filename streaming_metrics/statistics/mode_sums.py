"""Mode sums: how many samples each mode of a fixed side has received, and how far they lie from its centre."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.statistics.bank import check_labels
from streaming_metrics.statistics.sums import Shapes, Sums, counts_of

if TYPE_CHECKING:
    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State
    from streaming_metrics.statistics.fixed_rows import FixedRows


@dataclass(frozen=True)
class ModeSums(Sums):
    """Counts of points by mode, and sums of their distances to its centre.

    A point's mode is its label where modes are labels; else that of the centre nearest to it, of equally near ones the
    first. The state is ``counts (modes,) int64`` and ``distances (modes,) float64``.

    Args:
        num_features: D.
        modes: how many centres.
        most, seed: of the rows that the centres were made of, and how; they tell modes of one side apart.
        is_labelled: whether modes are labels.
        centres: the same on every rank; None before there are any, when there are no sums.

    Raises:
        ValueError: at update, where modes are labels and there are no such labels.

    Example:
        >>> from streaming_metrics.features import Features
        >>> from streaming_metrics.statistics.fixed_rows import FixedRows
        >>> sums = ModeSums(1, modes=2, centres=FixedRows(torch.tensor([[0.0], [4.0]])))
        >>> sums.update(sums.empty(), Features(pool=torch.tensor([[-1.0], [1.5], [2.0], [3.0]])))
        {'counts': tensor([3, 1]), 'distances': tensor([4.5000, 1.0000], dtype=torch.float64)}
    """

    num_features: int
    modes: int
    most: int = 10_000
    seed: int = 0
    is_labelled: bool = False
    centres: FixedRows | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("modes", self.modes, least=1)

    @property
    def name(self) -> str:
        made = "labels" if self.is_labelled else f"{self.most}_{self.seed}"
        return f"modes_{self.num_features}_{self.modes}_{made}"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("pool", "labels") if self.is_labelled else ("pool",)

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((self.modes,), torch.int64), "distances": ((self.modes,), torch.float64)}

    def sums_of(self, features: Features) -> State:
        mode, distance = self.assigned(features)
        return {
            "counts": counts_of(mode, self.modes),
            "distances": distance.new_zeros(self.modes).index_add_(0, mode, distance),
        }

    def assigned(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return each sample's mode, int64 ``(N,)``, and its distance to that mode's centre, float64 ``(N,)``."""
        assert self.centres is not None
        rows = self.rows_of(features).float()
        if not self.is_labelled:
            squared, mode = self.centres.nearest(rows)
            return mode, squared.sqrt()
        mode = check_labels(features.labels, len(features), self.modes)
        return mode, (rows.double() - self.centres.rows.to(rows.device)[mode]).norm(dim=1)

    def check(self, state: State) -> None:
        super().check(state)
        counts, distances = state["counts"], state["distances"]
        self._expect((counts >= 0).all() and (distances >= 0).all(), "counts and distances that are not negative")
        self._expect((distances[counts == 0] == 0).all(), "no distance of a mode without a sample")

    def bounds(self, state: State) -> tuple[float, float]:
        points = float(state["counts"].sum())
        return (points, points) if self.centres is not None else (0, inf)
