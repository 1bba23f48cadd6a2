"""Fourier moment: the second moment of random Fourier features, whose inner products are nearly a Gaussian kernel.

A. Rahimi, B. Recht, "Random features for large-scale kernel machines", NeurIPS 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.statistics.base import State, Statistic, in_name
from streaming_metrics.statistics.second_moment import SecondMoment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Features


@dataclass(frozen=True)
class FourierMoment(Statistic):
    """Second moment ``Σ φφᵀ``, in float64, of ``φ(x) = [cos ωᵀx; sin ωᵀx] / √r`` with r random frequencies ω.

    ω ~ N(0, I/σ²), so that ``φ(x)·φ(y)`` is ``exp(−‖x − y‖² / 2σ²)`` up to an error of ``1/√(2r)``; ``‖φ‖ = 1``. The
    state is ``sums (2r, 2r)``: 512 MB at r = 4000, 32 MB at 1000.

    Frequencies are drawn by NumPy's ``RandomState``, whose streams never change, on the CPU and in float64: a seed
    gives the same ones on every rank and device, with every version of NumPy and PyTorch. Cosines differ between
    devices in their last bit.

    Args:
        num_features: D.
        frequencies: r.
        sigma: σ, the width of the kernel, in units of the features.
        seed: of the frequencies.

    Example:
        >>> from streaming_metrics.features import Features
        >>> moment = FourierMoment(1, frequencies=2)
        >>> state = moment.update(moment.empty(), Features(pool=torch.tensor([[3.0], [-4.0]])))
        >>> round(state["sums"].trace().item(), 6)
        2.0
    """

    num_features: int
    frequencies: int = 4000
    sigma: float = 20.0
    seed: int = 0

    column = "pool"

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("frequencies", self.frequencies, least=1)
        check_real("sigma", self.sigma, above=0)
        check_integer("seed", self.seed, least=0, most=2**32 - 1)
        object.__setattr__(self, "sigma", float(self.sigma))

    @property
    def name(self) -> str:
        return f"fourier_{self.num_features}_{self.frequencies}_{in_name(self.sigma)}_{self.seed}"

    @cached_property
    def moment(self) -> SecondMoment:
        """What is kept of φ."""
        return SecondMoment(2 * self.frequencies, normalized=False)

    def empty(self, device: torch.device | str = "cpu") -> State:
        return self.moment.empty(device)

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        return self.moment.staged(state, features.having(pool=self.embedded(self.rows_of(features))))

    def merge(self, states: Sequence[State]) -> State:
        return self.moment.merge(states)

    def all_reduce(self, state: State, comm: Comm) -> State:
        return self.moment.all_reduce(state, comm)

    def check(self, state: State) -> None:
        self.moment.check(state)

    def bounds(self, state: State) -> tuple[float, float]:
        n = self.moment.directions(state)  # each φ is of norm 1
        return n, n

    def embedded(self, rows: Tensor) -> Tensor:
        """Return φ of rows ``(N, D)``, float64 ``(N, 2r)``."""
        omega = random_frequencies(self.num_features, self.frequencies, self.seed, rows.device)
        angles = rows.double() @ omega / self.sigma
        return torch.cat([angles.cos(), angles.sin()], 1) / self.frequencies**0.5

    def mean(self, state: State) -> Tensor:
        """Return ``Σ φφᵀ / n``, of trace 1, float64 ``(2r, 2r)``."""
        return state["sums"] / self.moment.directions(state)


@lru_cache(maxsize=2)
def random_frequencies(width: int, count: int, seed: int, device: torch.device) -> Tensor:
    """Return standard normal frequencies as columns ``(width, count)`` float64."""
    drawn = np.random.RandomState(seed).standard_normal((width, count))
    with torch.inference_mode(False):
        return torch.from_numpy(drawn).to(device)
