"""AM score: how unsure predictions of generated samples are, and how far their labels are from those of real ones.

Z. Zhou et al., "Activation maximization generative adversarial nets", ICLR 2018. Parity target: the authors' formula,
with their floor under generated probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.measures.base import Measure, Scalar
from streaming_metrics.measures.mode_score import Predictions, kl_divergence, marginals_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

FLOOR = 1e-18
"""Added by the authors to the probabilities of generated samples: a class that is lost costs 41 nats at most."""


@dataclass(frozen=True)
class AMScore(Measure):
    """AM score: ``E H(p(c | y)) + KL(p̄_real ‖ p̄_gen)`` of generated samples y, nats.

    H is the entropy of a prediction, p̄ the mean prediction of a side, with 1e-18 added to the generated one, as the
    authors do: a class that no generated sample shows at all costs ``p̄_real·log(p̄_real / 1e-18)``, at most 41.4 nats,
    and not infinitely much. Range [0, log C + 41.4], lower is better: 0 for sure predictions with real labels, balanced
    or not, where the Inception Score wants balanced ones.

    Of each side sums over predictions are kept, those of ``IS()``. Which classifier gave the logits belongs to the
    number: the authors' is a DenseNet trained on the data set.

    Raises:
        NotEnoughSamples: at compute, without samples on a side.

    Warns:
        BiasWarning: with fewer samples on a side than classes, where p̄ is little but chance.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([AMScore()], extractor=None, num_classes=2)
        >>> metric.update(Features(logits=100 * torch.eye(2)), real=True)
        >>> metric.update(Features(logits=torch.tensor([[0.0, 0.0], [1.0, 1.0]])), real=False)
        >>> round(metric.compute()["am_score_features"].item(), 6)  # log 2: unsure, of the right labels
        0.693147
    """

    label: ClassVar[str] = "am_score"
    group: ClassVar[str] = "class predictions"
    paper: ClassVar[str] = "Zhou et al., ICLR 2018"
    column: ClassVar[str] = "logits"
    jackknifed: ClassVar[tuple[str, ...]] = ("am_score",)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("am_score", "AM score", "lower", kind="positive"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        marginals = (marginals_of(spec, "AMScore"),)
        return {"real": marginals, "fake": marginals}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(1, "AMScore")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        real, fake = (Predictions.of(side, sides.spec, "AMScore") for side in (sides.real, sides.fake))
        return {"am_score": fake.entropy + kl_divergence(real.mean, fake.mean + FLOOR)}
