"""Classification accuracy score (CAS), by a linear probe on features.

S. Ravuri, O. Vinyals, "Classification accuracy score for conditional generative models", NeurIPS 2019; it is GAN-train
of K. Shmelkov, C. Schmid, K. Alahari, "How good is my GAN?", ECCV 2018. Both train a ResNet on generated images; a
linear classifier of an extractor's features is a variant of it, so their figures are not comparable. Parity target:
scikit-learn's classifiers, trained on the same features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.arguments import check_flag
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.error_scalars import error_of, share_error_of
from streaming_metrics.measures.probes import Kind
from streaming_metrics.measures.probing import Probes, check_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

FAMILY = "Accuracy of a linear probe"
"""Title of the panel of all accuracies of probes."""
GIVEN_THE_PROBE = "value over real samples, given the probe"


@dataclass(frozen=True)
class CAS(Measure):
    """Classification accuracy score: accuracy on real samples of a classifier trained on generated ones (GAN-train).

    ``mean_i [argmax_c s_c(x_i) = label of x_i]`` over real features x, with s the scores of a linear probe trained on
    generated features and their labels. Range [0, 1], higher is better: it falls where classes are dropped, mixed up,
    or poor in variety, and where their shares are not the real ones, since the probe takes them for priors
    (``"ridge"`` the more so). A class without generated samples is never predicted. ``cas_real`` is what the same probe
    reaches that is trained on the real samples, each tested by the probe trained on all others (leave-one-out, in
    closed form, which tests the samples that ``cas`` is tested on, and trains on almost as many as there are; shares of
    classes and the amount of shrinkage stay those of all): what ``cas`` is to be held against. Copies of the real
    samples score above it, since they are tested on themselves.

    The probe is linear discriminant analysis, or ridge regression of one-hot labels, its covariance shrunk by
    ``shrinkage`` towards a multiple of the identity, so that it does not depend on the scale of features. Of scores
    equal up to rounding, the first class counts.

    Both sides need ``labels``, int64 ``(N,)`` in [0, classes): ``update(features, labels=…)``. Of generated samples
    moments and the sum of each class are kept; real features are kept with their labels.

    Args:
        classes: their number.
        probe: ``"lda"`` or ``"ridge"``.
        shrinkage: s in [0.001, 1].
        se: report ``cas_se`` and ``cas_real_se`` too, Wilson's errors of shares of real samples, given the probes.

    Raises:
        NotEnoughSamples: at compute, naming the classes with fewer than 2 real samples, or without generated samples.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([CAS(classes=2)], extractor=None, num_features=1)
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> metric.update(Features(torch.tensor([[0.0], [1.0], [4.0], [5.0]]), labels=labels), real=True)
        >>> metric.update(Features(torch.tensor([[3.5], [4.5], [5.0], [6.0]]), labels=labels), real=False)
        >>> {key: value.item() for key, value in metric.compute().items()}
        {'cas_features': 0.75, 'cas_real_features': 1.0}
    """

    classes: int
    probe: Kind = "lda"
    shrinkage: float = 0.1
    se: bool = field(default=False, kw_only=True)

    label: ClassVar[str] = "cas"
    group: ClassVar[str] = "labels"
    paper: ClassVar[str] = "Ravuri and Vinyals, NeurIPS 2019"

    def __post_init__(self) -> None:
        check_options("CAS", self.classes, self.shrinkage, self.probe)
        check_flag("CAS se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        shares = (
            Scalar("cas", "Classification accuracy score", "higher", FAMILY, kind="share"),
            Scalar("cas_real", "Accuracy of a probe trained on real samples", family=FAMILY, kind="share"),
        )
        return (*shares, *(error_of(share, GIVEN_THE_PROBE) for share in shares)) if self.se else shares

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(classes=2, se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        probes = self._probes(spec)
        return {"real": probes.tests, "fake": probes.trains}

    def check(self, sides: Sides) -> None:
        sides.real.require(2 * self.classes, f"CAS(classes={self.classes})", "2 samples or more of each class")
        sides.fake.require(1, "CAS")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        probes = self._probes(sides.spec)
        probes.require_classes(sides.real, "CAS")
        shares = (
            probes.accuracy(probes.trained(sides.fake).probe, sides.real),
            probes.left_out_accuracy(sides.real),
        )
        errors = (share_error_of(share, sides.real.num_samples) for share in shares)
        return dict(zip(self.keys, (*shares, *errors)))

    def _probes(self, spec: Spec) -> Probes:
        return Probes(width(spec, "CAS"), self.classes, self.probe, self.shrinkage)
