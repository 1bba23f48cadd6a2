"""Mode score: Inception Score, less how far the labels of generated samples are from those of real ones.

T. Che, Y. Li, A. P. Jacob, Y. Bengio, W. Li, "Mode regularized generative adversarial networks", ICLR 2017.
Parity target: the form that Q. Xu et al., "An empirical study on evaluation metrics of generative adversarial
networks", 2018, evaluate.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch

from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.inception_score import entropy
from streaming_metrics.statistics import Marginals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class ModeScore(Measure):
    """Mode score: ``exp(E KL(p(c | y) ‖ p̄_gen) − KL(p̄_gen ‖ p̄_real))`` of generated samples y, the sensitive form.

    p̄ is the mean of the classifier's predictions p over a side. Range [0, C], higher is better: the Inception Score of
    one split, divided by ``exp KL(p̄_gen ‖ p̄_real)``, so equal to it where both sides have the same labels, and 0 where
    generated samples show a class of which real ones have none.

    As Che et al. print it, ``exp(E KL(p ‖ p̄_real) − KL(p̄_gen ‖ p̄_real))``, the real labels cancel, and what is left is
    the Inception Score of one split: that form is ``IS(splits=1)``.

    Of each side sums over predictions are kept, those of ``IS()``. Which classifier gave the logits belongs to the
    number: the reference Inception tells 1008 classes of ImageNet, the paper used one of its data set.

    Raises:
        NotEnoughSamples: at compute, without samples on a side.

    Warns:
        BiasWarning: with fewer samples on a side than classes, where p̄ is little but chance.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([ModeScore()], extractor=None, num_classes=4)
        >>> sure = 100 * torch.eye(4)
        >>> metric.update(Features(logits=sure), real=True)
        >>> metric.update(Features(logits=sure[[0, 1, 0, 1]] + torch.arange(4.0).view(4, 1)), real=False)
        >>> round(metric.compute()["mode_score_features"].item(), 6)
        1.0
    """

    label: ClassVar[str] = "mode_score"
    group: ClassVar[str] = "class predictions"
    paper: ClassVar[str] = "Che et al., ICLR 2017"
    column: ClassVar[str] = "logits"
    jackknifed: ClassVar[tuple[str, ...]] = ("mode_score",)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("mode_score", "Mode score, sensitive form", "higher", kind="positive"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        marginals = (marginals_of(spec, "ModeScore"),)
        return {"real": marginals, "fake": marginals}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(1, "ModeScore")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        real, fake = (Predictions.of(side, sides.spec, "ModeScore") for side in (sides.real, sides.fake))
        information = entropy(fake.mean) - fake.entropy
        return {"mode_score": (information - kl_divergence(fake.mean, real.mean)).exp()}


class Predictions(NamedTuple):
    """Predictions of one side: their mean entropy, nats ``()``, and their mean ``(C,)``."""

    entropy: Tensor
    mean: Tensor

    @classmethod
    def of(cls, side: Side, spec: Spec, measure: str) -> Predictions:
        """Return those of a side; warn where it has fewer samples than classes."""
        marginals = marginals_of(spec, measure)
        _warn_if_few(side, marginals.num_classes, measure)
        state, n = side[marginals], side.num_samples
        return cls(-marginals.negentropies(state).sum() / n, marginals.probabilities(state).sum(0) / n)


def marginals_of(spec: Spec, measure: str) -> Marginals:
    """Return the sums over a side's predictions, of all splits: those that ``IS()`` keeps, so that both share them."""
    return Marginals(width(spec, measure, "logits"))


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return ``KL(p ‖ q)`` of two distributions ``(C,)``, nats, at least 0: inf where q is 0 and p is not.

    Example:
        >>> kl_divergence(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.75, 0.0])).item()
        0.1438410...
    """
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum().clamp(min=0)


def _warn_if_few(side: Side, classes: int, measure: str) -> None:
    if side.num_samples < classes:
        warnings.warn(
            f"{measure}: {side.num_samples} {side.role} samples of {classes} classes: their mean prediction is little "
            "but chance. Remedy: as many samples as classes, better ten times as many.",
            BiasWarning,
            stacklevel=4,
        )
