"""JEDi: JEPA embedding distance of videos, an MMD that sums tell exactly.

G. Y. Luo, G. Favero, Z. H. Luo, A. Jolicoeur-Martineau, C. Pal, "Beyond FVD: Enhanced evaluation metrics for video
generation quality", ICLR 2025. Parity target: ``videojedi`` 0.0.1, given the same features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor

from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.statistics import SecondMoment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

SCALE = 100.0


@dataclass(frozen=True)
class JEDi(Measure):
    """JEPA embedding distance: ``100·‖E[x xᵀ] − E[y yᵀ]‖²_F / D²`` of features x of real clips and y of generated ones.

    It is 100 times the biased squared MMD with the kernel ``(xᵀy / D)²``: the mean of squares of inner products is the
    inner product of second moments, so that sums of D² numbers a side give it exactly, and no features are kept. Range
    [0, ∞), lower is better. The authors' network is V-JEPA ViT-H/16 with the attentive probe of Something-Something v2
    (D = 1280, 16 frames), whose features come from their code (``extractor=None``); on ``vjepa/<folder>`` it is a
    variant on V-JEPA 2, which its key names.

    Raises:
        ValueError: for a network of images.
        NotEnoughSamples: at compute, without samples on a side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([JEDi()], extractor=None, num_features=2)
        >>> metric.update(torch.tensor([[2.0, 0.0]]), real=True)
        >>> metric.update(torch.tensor([[0.0, 2.0]]), real=False)
        >>> metric.compute()["jedi_features"]  # 100 · (4² + 4²) / 2²
        tensor(800., dtype=torch.float64)
    """

    label: ClassVar[str] = "jedi"
    group: ClassVar[str] = "distances"
    takes: ClassVar[Literal["images", "clips"] | None] = "clips"
    paper: ClassVar[str] = "Luo et al., ICLR 2025"
    jackknifed: ClassVar[tuple[str, ...]] = ("jedi",)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("jedi", "JEPA embedding distance", "lower", kind="positive"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        moment = (_moment(spec),)
        return {"real": moment, "fake": moment}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(1, "JEDi")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        moment = _moment(sides.spec)
        apart = _mean(sides.real, moment) - _mean(sides.fake, moment)
        return {"jedi": SCALE * apart.div_(moment.num_features).square().sum()}


def _moment(spec: Spec) -> SecondMoment:
    return SecondMoment(width(spec, "JEDi"), normalized=False)


def _mean(side: Side, moment: SecondMoment) -> Tensor:
    return moment.sums(side[moment]) / side.num_samples
