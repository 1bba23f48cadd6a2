"""MIND: Monge inception distance, a sliced Wasserstein distance in the units of a Fréchet distance.

Q. Berthet et al., "MIND: Monge Inception Distance for generative models evaluation", arXiv 2605.06797. Parity target:
torch-fidelity after 0.4, given the same features in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, Scalar, Side, width
from streaming_metrics.pairwise.chunks import parts
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

LINES = 16
"""Lines whose quantile functions are in memory at once."""
CHUNK = 4096


@dataclass(frozen=True)
class MIND(Measure):
    """Monge inception distance: ``3D·mean_u W₂²`` of features along ``num_projections`` random directions u.

    ``W₂² = 1/n·Σ_j (u·x_(j) − u·y_(j))²`` of the sorted projections of both sides. Range [0, ∞), lower is better; of
    features that differ by a shift v it is ``3D·mean_u (u·v)²``, three times the Fréchet distance ``‖v‖²`` in
    expectation. Of equal distributions it is not 0, but falls as 1/n: compare equal numbers of samples.

    Directions are Gaussian ones in float32, divided by their norms, of PyTorch's CPU generator with ``seed``. Where the
    sides differ in number, that generator first draws as many of the larger one as the smaller has, by their place in
    the order of ids; so directions depend on that number too, as in the parity target. Features are kept of both sides,
    D numbers a sample, shared with the other measures that keep them. At compute each rank holds ``num_projections``
    numbers a sample of both sides, 200 MB for 50,000, projected in float64 and rounded to float32.

    Args:
        num_projections: number of directions.
        seed: of the generator.

    Raises:
        NotEnoughSamples: at compute, with no sample on a side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([MIND()], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [1.0], [2.0]]), real=True)
        >>> metric.update(torch.tensor([[4.0], [2.0], [3.0]]), real=False)
        >>> metric.compute()  # 3·1·2²
        {'mind_features': tensor(12., dtype=torch.float64)}
    """

    num_projections: int = 1000
    seed: int = 2020

    label: ClassVar[str] = "mind"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Berthet et al., 2026"

    def __post_init__(self) -> None:
        check_integer("MIND num_projections", self.num_projections, least=1)
        check_integer("MIND seed", self.seed, least=0, most=2**32 - 1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("mind", "Monge inception distance", "lower", kind="positive"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (Bank(width(spec, "MIND")),)
        return {"real": bank, "fake": bank}

    def check(self, sides: Sides) -> None:
        sides.real.require(1, "MIND")
        sides.fake.require(1, "MIND")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        bank, pair = Bank(width(sides.spec, "MIND")), (sides.real, sides.fake)
        sizes = {side.num_samples for side in pair}
        drawn, directions = self._drawn(bank.num_features, min(sizes), max(sizes))
        real, fake = (sorted_lines(side, bank, directions, drawn, min(sizes)) for side in pair)
        squares = [(real[part].double() - fake[part].double()).square().mean(1) for part in parts(len(real), LINES)]
        return {"mind": 3 * bank.num_features * torch.cat(squares).mean()}

    def _drawn(self, num_features: int, least: int, most: int) -> tuple[Tensor, Tensor]:
        return drawn_of_seed(num_features, self.num_projections, self.seed, least, most)


def sorted_lines(side: Side, bank: Bank, directions: Tensor, drawn: Tensor, n: int) -> Tensor:
    """Return ``(P, n)`` float32: each projection of a side's samples, ascending; of those drawn where it has more than
    n; collective.
    """
    state = side[bank]
    directions = directions.to(state["rows"].device).double()
    projected = [(rows.double() @ directions).float() for rows in state["rows"].split(CHUNK)]
    rows = torch.cat([*projected, directions.new_empty(0, directions.shape[1], dtype=torch.float32)])
    whole = Bank(directions.shape[1]).replicate({"rows": rows, "index": state["index"]}, side.comm)
    order = whole["index"].argsort(stable=True)
    taken = order if len(order) == n else order[drawn.to(order.device)]
    return whole["rows"][taken].T.contiguous().sort(1).values


@lru_cache(maxsize=4)
def drawn_of_seed(width: int, count: int, seed: int, least: int, most: int) -> tuple[Tensor, Tensor]:
    """Return the places ``(least,)`` of the larger side's samples that are taken, and directions ``(width, count)``
    float32, on the CPU: the first only where the sides differ, of one generator.
    """
    with torch.inference_mode(False):
        generator = torch.Generator(device="cpu").manual_seed(seed)
        drawn = torch.arange(least)
        if least != most:
            drawn = torch.randperm(most, generator=generator, device="cpu")[:least]
        directions = torch.randn(count, width, generator=generator, dtype=torch.float32, device="cpu")
        return drawn, (directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-12)).T.contiguous()
