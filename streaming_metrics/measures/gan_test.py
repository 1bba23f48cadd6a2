"""GAN-test, by a linear probe on features.

K. Shmelkov, C. Schmid, K. Alahari, "How good is my GAN?", ECCV 2018. The paper trains a ResNet on images; a linear
classifier of an extractor's features is a variant of it, so its figures are not comparable. Parity target:
scikit-learn's classifiers, trained on the same features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.classification import FAMILY
from streaming_metrics.measures.error_scalars import AT_THIS_N, error_of, share_error_of
from streaming_metrics.measures.probes import Kind
from streaming_metrics.measures.probing import Probes, check_options
from streaming_metrics.statistics import LinearProbe, ProbeHits
from streaming_metrics.statistics.base import in_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class GANTest(Measure):
    """GAN-test: accuracy on generated samples of a classifier trained on real ones.

    ``mean_j [argmax_c s_c(y_j) = label of y_j]`` over generated features y, with s the scores of a linear probe trained
    on real features and their labels: the share of generated samples that look like their class. Range [0, 1], higher
    is better; it does not see variety: one clear image of each class scores 1. Above ``cas_real`` of
    :class:`~streaming_metrics.CAS`, generated samples are easier than real ones, or copies of them.

    The probe and its options are those of :class:`~streaming_metrics.CAS`; a class without real samples is never
    predicted. Both sides need ``labels``, int64 ``(N,)`` in [0, classes). Of real samples moments and the sum of each
    class are kept. Once the real side is frozen, of generated samples two counts are kept; until then their features.

    Args:
        classes: their number.
        probe: ``"lda"`` or ``"ridge"``.
        shrinkage: of its covariance, in [0.001, 1].
        se: report ``gan_test_se`` too, Wilson's error of a share of generated samples, as if they were independent.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 real samples, or no generated one.

    Warns:
        BiasWarning: where classes have no real samples.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([GANTest(classes=2)], extractor=None, num_features=1)
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> metric.update(Features(torch.tensor([[0.0], [1.0], [4.0], [5.0]]), labels=labels), real=True)
        >>> metric.update(Features(torch.tensor([[1.0], [3.0], [4.0], [9.0]]), labels=labels), real=False)
        >>> metric.compute()
        {'gan_test_features': tensor(0.7500, dtype=torch.float64)}
    """

    classes: int
    probe: Kind = "lda"
    shrinkage: float = 0.1
    se: bool = field(default=False, kw_only=True)
    _trained: LinearProbe | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "gan_test"
    group: ClassVar[str] = "labels"
    paper: ClassVar[str] = "Shmelkov et al., ECCV 2018"

    def __post_init__(self) -> None:
        check_options("GANTest", self.classes, self.shrinkage, self.probe)
        check_flag("GANTest se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        share = Scalar("gan_test", "GAN-test", "higher", FAMILY, kind="share")
        return (share, error_of(share, AT_THIS_N)) if self.se else (share,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(classes=2, se=True).scalars

    @property
    def fixed(self) -> Role | None:
        return "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        probes = self._probes(spec)
        return {"real": probes.trains, "fake": (self._hits(spec) if self._is_bound else probes.bank,)}

    def check(self, sides: Sides) -> None:
        sides.real.require(2, "GANTest")
        sides.fake.require(1, "GANTest")

    def prepares(self, spec: Spec) -> Prepared:
        weights = torch.empty(0, width(spec, "GANTest") + 1, dtype=torch.float64)
        return {"weights": weights, "counts": torch.empty(0, dtype=torch.int64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        probes = self._probes(spec)
        probe = probes.trained(side).probe
        weights = torch.cat([probe.weights, probe.bias.unsqueeze(1)], 1)
        return {"weights": weights, "counts": side[probes.sums]["counts"]}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        counts = prepared["counts"]
        lengths = {len(tensor) for tensor in prepared.values()}
        if lengths != {self.classes} or (counts < 0).any() or counts.sum() != num_samples:
            raise ValueError(
                f"expected weights of {self.classes} classes and counts of {num_samples} samples in them, got "
                f"{sorted(lengths)} classes with {counts.tolist()}."
            )

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> GANTest:  # noqa: ARG002
        if side is None:
            return replace(self, _is_bound=True)
        weights, counts = prepared["weights"], prepared["counts"]
        return replace(self, _is_bound=True, _trained=LinearProbe(weights[:, :-1], weights[:, -1], counts > 0))

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        _warn_of_classes((prepared["counts"] == 0).nonzero().flatten().tolist())
        hits = self._hits(sides.spec)
        share = hits.share_of(sides.fake[hits])
        return dict(zip(self.keys, (share, share_error_of(share, sides.fake.num_samples))))

    def _probes(self, spec: Spec) -> Probes:
        return Probes(width(spec, "GANTest"), self.classes, self.probe, self.shrinkage)

    def _hits(self, spec: Spec) -> ProbeHits:
        kind = f"{self.probe}_{in_name(self.shrinkage)}"
        return ProbeHits(width(spec, "GANTest"), self.classes, kind, self._trained)


def _warn_of_classes(absent: list[int]) -> None:
    if absent:
        warnings.warn(
            f"GANTest: {len(absent)} classes have no real samples, the first of them {absent[0]}: no generated sample "
            "of them counts as right. Remedy: real samples of each class, or fewer `classes`.",
            BiasWarning,
            stacklevel=3,
        )
