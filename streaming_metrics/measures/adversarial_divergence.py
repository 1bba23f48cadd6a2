"""Adversarial accuracy and divergence, by a linear probe on features.

J. Yang, A. Kannan, D. Batra, D. Parikh, "LR-GAN: layered recursive generative adversarial networks for image
generation", ICLR 2017. The paper trains classifiers of images; linear discriminant analysis of an extractor's features
is a variant of it, so its figures are not comparable. Parity target: scikit-learn's posteriors, of the same features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.classification import FAMILY, GIVEN_THE_PROBE
from streaming_metrics.measures.error_scalars import error_of, share_error_of
from streaming_metrics.measures.probing import CHUNK, Probes, check_options

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
        se: report the error of each too, over real samples, given the probes.

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
    se: bool = field(default=False, kw_only=True)

    label: ClassVar[str] = "adversarial_divergence"
    group: ClassVar[str] = "labels"
    paper: ClassVar[str] = "Yang et al., ICLR 2017"

    def __post_init__(self) -> None:
        check_options("AdversarialDivergence", self.classes, self.shrinkage)
        check_flag("AdversarialDivergence se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        on_real = "Accuracy of a probe trained on real samples"
        values = (
            Scalar("adversarial_divergence", "Adversarial divergence", "lower", kind="positive"),
            Scalar("adversarial_accuracy", "Adversarial accuracy", "higher", FAMILY, kind="share"),
            Scalar("adversarial_accuracy_real", on_real, family=FAMILY, kind="share"),
        )
        return (*values, *(error_of(value, GIVEN_THE_PROBE) for value in values)) if self.se else values

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(classes=2, se=True).scalars

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
        total, squares = _divergences(of_fakes, of_real, sides.real, probes)
        accuracies = probes.accuracy(of_fakes, sides.real), probes.left_out_accuracy(sides.real)
        n = sides.real.num_samples
        error = ((squares / n - (total / n).square()).clamp(min=0) / (n - 1)).sqrt()
        errors = (error, *(share_error_of(share, n) for share in accuracies))
        return dict(zip(self.keys, (total / n, *accuracies, *errors)))

    def _probes(self, spec: Spec) -> Probes:
        return Probes(width(spec, "AdversarialDivergence"), self.classes, "lda", self.shrinkage)


def _divergences(of_fakes: LinearProbe, of_real: Fit, real: Side, probes: Probes) -> tuple[Tensor, Tensor]:
    """Return the divergences of two classifiers' posteriors on the real side, summed, and their squares; collective."""
    state = real[probes.bank]
    columns = state["rows"], state["labels"], probes.norms(real)
    total, squares = columns[2].new_zeros(2)
    for rows, *known in zip(*(column.split(CHUNK) for column in columns)):
        each = divergence(of_fakes.scores(rows), of_real.left_out(rows, *known))
        total, squares = total + each.sum(), squares + each.square().sum()
    return real.comm.sum(total), real.comm.sum(squares)


def divergence(scores: Tensor, others: Tensor) -> Tensor:
    """Return ``KL(softmax(scores) ‖ softmax(others))`` of rows ``(N, C)``, nats ``(N,)``.

    Example:
        >>> round(divergence(torch.tensor([[0.0, -torch.inf]]), torch.zeros(1, 2)).item(), 6)
        0.693147
    """
    log_p, log_q = scores.log_softmax(1), others.log_softmax(1)
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), 0.0).sum(1).clamp(min=0)
