"""Boundary distortion, by a linear probe on features.

S. Santurkar, L. Schmidt, A. Mądry, "A classification-based study of covariate shift in GAN distributions", ICML 2018.
The paper trains classifiers of images; a linear one of an extractor's features is a variant of it, so its figures are
not comparable. Parity target: scikit-learn's classifiers, trained on the same features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.arguments import check_flag
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.classification import GIVEN_THE_PROBE
from streaming_metrics.measures.error_scalars import error_of, share_error_of
from streaming_metrics.measures.probes import Kind
from streaming_metrics.measures.probing import Probes, check_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class BoundaryDistortion(Measure):
    """Boundary distortion: accuracy on real samples that a classifier loses by being trained on as many generated ones.

    ``a(real) − a(generated)``: a(generated) is the accuracy on real features of a linear probe trained on the generated
    ones, a(real) that of the probe trained on real ones, each sample tested by the probe trained on all others
    (leave-one-out, in closed form). Range [−1, 1], lower is better; about 0 for samples of one distribution, below 0
    where generated samples are copies of real ones, which are then tested on themselves.

    Training sets are of equal size: of more real samples than generated ones, as many are taken, which depend on their
    ids alone. With equally many, it is ``cas_real − cas`` of :class:`~streaming_metrics.CAS`. Labels, options and what
    is kept are those of it.

    Args:
        classes: their number.
        probe: ``"lda"`` or ``"ridge"``.
        shrinkage: of its covariance, in [0.001, 1].
        se: report ``boundary_distortion_se`` too: the error of the mean difference over real samples, given the probes;
            where all differences are one, Wilson's of such a share.

    Raises:
        NotEnoughSamples: at compute, naming the classes with fewer than 2 real samples, or with fewer than 2 generated
            samples.

    Warns:
        BiasWarning: with more generated samples than real ones: the probe trained on them has an advantage.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([BoundaryDistortion(classes=2)], extractor=None, num_features=1)
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> metric.update(Features(torch.tensor([[0.0], [1.0], [4.0], [5.0]]), labels=labels), real=True)
        >>> metric.update(Features(torch.tensor([[3.5], [4.5], [5.0], [6.0]]), labels=labels), real=False)
        >>> metric.compute()
        {'boundary_distortion_features': tensor(0.2500, dtype=torch.float64)}
    """

    classes: int
    probe: Kind = "lda"
    shrinkage: float = 0.1
    se: bool = field(default=False, kw_only=True)

    label: ClassVar[str] = "boundary_distortion"
    group: ClassVar[str] = "labels"
    paper: ClassVar[str] = "Santurkar et al., ICML 2018"

    def __post_init__(self) -> None:
        check_options("BoundaryDistortion", self.classes, self.shrinkage, self.probe)
        check_flag("BoundaryDistortion se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        lost = Scalar("boundary_distortion", "Boundary distortion", "lower")
        return (lost, error_of(lost, GIVEN_THE_PROBE)) if self.se else (lost,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(classes=2, se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        probes = self._probes(spec)
        return {"real": probes.tests, "fake": probes.trains}

    def check(self, sides: Sides) -> None:
        what = f"BoundaryDistortion(classes={self.classes})"
        sides.real.require(2 * self.classes, what, "2 samples or more of each class")
        sides.fake.require(2, what)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        probes = self._probes(sides.spec)
        probes.require_classes(sides.real, "BoundaryDistortion")
        real = _as_many(probes, sides)
        probe, n = probes.trained(sides.fake).probe, real.num_samples
        values = {"boundary_distortion": probes.left_out_accuracy(real) - probes.accuracy(probe, real)}
        if self.se:  # differences of two hits are −1, 0 and 1
            variance = probes.disagreement(probe, real) - values["boundary_distortion"].square()
            known, lost = (variance.clamp(min=0) / (n - 1)).sqrt(), values["boundary_distortion"].abs()
            values["boundary_distortion_se"] = known.where(known > 0, share_error_of(lost, n))
        return values

    def _probes(self, spec: Spec) -> Probes:
        return Probes(width(spec, "BoundaryDistortion"), self.classes, self.probe, self.shrinkage)


def _as_many(probes: Probes, sides: Sides) -> Side:
    """Return the real side, or as many of its samples as there are generated ones; collective."""
    real, fake = sides.real, sides.fake
    if fake.num_samples > real.num_samples:
        warnings.warn(
            f"BoundaryDistortion: the probe of {fake.num_samples} generated samples is held against one of "
            f"{real.num_samples} real ones, and has an advantage. Remedy: no more generated samples than real ones.",
            BiasWarning,
            stacklevel=4,
        )
    return probes.subsample(real, fake.num_samples) if fake.num_samples < real.num_samples else real
