"""Adversarial accuracy and divergence, by a linear probe on features.

J. Yang, A. Kannan, D. Batra, D. Parikh, "LR-GAN: layered recursive generative adversarial networks for image
generation", ICLR 2017. The paper trains classifiers of images; linear discriminant analysis of an extractor's features
is a variant of it, so its figures are not comparable. Parity target: scikit-learn's posteriors, of the same features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.classification import FAMILY
from streaming_metrics.measures.probing import Probes, check_options, summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.measures.probes import Fit
    from streaming_metrics.statistics import LinearProbe, Statistic


@dataclass(frozen=True)
class AdversarialDivergence(Measure):
    """Adversarial accuracy and divergence: how a classifier trained on generated samples differs from one trained on
    real ones, both applied to real samples.

    ``adversarial_divergence``: ``mean_i KL(p_g(c | x_i) ‖ p_r(c | x_i))`` over real features x, nats, range [0, ∞),
    lower is better. p_g are the posteriors of linear discriminant analysis trained on generated features and their
    labels, p_r those of the one trained on real features, x_i itself left out (in closed form), so that real samples
    are validation for both. In that direction it is finite where classes are dropped. ``adversarial_accuracy`` (higher
    is better) and ``adversarial_accuracy_real``, range [0, 1], are their accuracies: ``cas`` and ``cas_real`` of
    :class:`~streaming_metrics.CAS`, which has the labels, options and what is kept too.

    With samples of one distribution it is not 0, but falls with their number: posteriors of few samples of many
    features are noisy and sure of themselves, which more ``shrinkage`` lessens. Compare at equal numbers.

    Args:
        classes: their number.
        shrinkage: of the covariance, in [0.001, 1].

    Raises:
        NotEnoughSamples: at compute, naming the classes with fewer than 2 real samples, or without generated samples.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([AdversarialDivergence(classes=2)], extractor=None, num_features=1)
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> metric.update(Features(torch.tensor([[0.0], [1.0], [4.0], [5.0]]), labels=labels), real=True)
        >>> metric.update(Features(torch.tensor([[3.5], [4.5], [5.0], [6.0]]), labels=labels), real=False)
        >>> [round(value.item(), 3) for value in metric.compute().values()]
        [13.173, 0.75, 1.0]
    """

    classes: int
    shrinkage: float = 0.1

    label: ClassVar[str] = "adversarial_divergence"
    group: ClassVar[str] = "labels"
    paper: ClassVar[str] = "Yang et al., ICLR 2017"

    def __post_init__(self) -> None:
        check_options("AdversarialDivergence", self.classes, self.shrinkage)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("adversarial_divergence", "Adversarial divergence", "lower"),
            Scalar("adversarial_accuracy", "Adversarial accuracy", "higher", FAMILY),
            Scalar("adversarial_accuracy_real", "Accuracy of a probe trained on real samples", family=FAMILY),
        )

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(classes=2).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        probes = self._probes(spec)
        return {"real": probes.tests, "fake": probes.trains}

    def check(self, sides: Sides) -> None:
        what = f"AdversarialDivergence(classes={self.classes})"
        sides.real.require(2 * self.classes, what, "2 samples or more of each class")
        sides.fake.require(1, what)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        probes = self._probes(sides.spec)
        probes.require_classes(sides.real, "AdversarialDivergence")
        of_fakes, of_real = probes.trained(sides.fake).probe, probes.trained(sides.real)
        return {
            "adversarial_divergence": _divergence(of_fakes, of_real, sides.real, probes),
            "adversarial_accuracy": probes.accuracy(of_fakes, sides.real),
            "adversarial_accuracy_real": probes.left_out_accuracy(sides.real),
        }

    def _probes(self, spec: Spec) -> Probes:
        return Probes(width(spec, "AdversarialDivergence"), self.classes, "lda", self.shrinkage)


def _divergence(of_fakes: LinearProbe, of_real: Fit, real: Side, probes: Probes) -> Tensor:
    """Return the mean divergence of two classifiers' posteriors on the real side, float64 ``()``; collective."""
    state = real[probes.bank]
    total = summed(
        lambda rows, *known: divergence(of_fakes.scores(rows), of_real.left_out(rows, *known)),
        *(state["rows"], state["labels"], probes.norms(real)),
    )
    return real.comm.sum(total) / real.num_samples


def divergence(scores: Tensor, others: Tensor) -> Tensor:
    """Return ``KL(softmax(scores) ‖ softmax(others))`` of rows ``(N, C)``, nats ``(N,)``.

    Example:
        >>> round(divergence(torch.tensor([[0.0, -torch.inf]]), torch.zeros(1, 2)).item(), 6)
        0.693147
    """
    log_p, log_q = scores.log_softmax(1), others.log_softmax(1)
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), 0.0).sum(1).clamp(min=0)
