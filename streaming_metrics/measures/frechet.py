"""Fréchet distance between Gaussians fitted to features.

M. Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NeurIPS 2017.
Parity target: pytorch-fid and torch-fidelity.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.frechet_estimate import KeptForErrors, estimate
from streaming_metrics.measures.gaussian import distance_of
from streaming_metrics.statistics import CaptionDigest, KnownCaptions, Moments
from streaming_metrics.verdicts.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


RESERVOIR = 2000
FAMILY = "Fréchet distance"
GIVEN = "given the reference"
DISTANCE = Scalar("fid", FAMILY, "lower", elsewhere="fd", kind="positive")


@dataclass(frozen=True)
class FID(Measure):
    """Fréchet Inception Distance: Fréchet distance between Gaussians fitted to real and generated features.

    ``‖μr − μf‖² + tr(Σr + Σf − 2(Σr Σf)^½)`` with unbiased covariances (ddof 1). Range [0, ∞), lower is better.
    Reported as ``fid`` for the reference Inception, else as ``fd_<tag>``.

    Args:
        captions: hold the captions fixed that samples are generated for, as text-to-image models are compared: each
            generated batch then needs ``captions``, and the signature gains ``captions:<8 hex digits>``, a digest of
            them all in whatever order. Values of models that drew other captions do not compare.
        se: also report ``fid_se``, the standard error of ``fid`` at this number of samples (its bias is not in it), and
            ``fid_corrected``, which is free of the bias of so many samples, with ``fid_corrected_se``: the distance
            itself is ``fid_corrected ± 1.96·fid_corrected_se``, cut at 0. At equal distances two values of ``fid``
            differ by their bias, so it is the corrected ones that compare. Beside the moments, ``reservoir`` rows of
            each side and the moments of half the generated samples are kept.
        both: take the real side as random too, and correct for its number of samples, where the errors else are given
            the reference. It must then hold features.
        cluster: how many consecutive ids depend on each other: images of a prompt, frames of a clip. Their dependence
            is in the errors, and in the bias, which is that of fewer samples.
        reservoir: rows of each side that influence is read off; of two clusters at least.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples a side.
        ValueError: at compute, with ``both`` and a reference of moments alone.

    Warns:
        BiasWarning: with no more samples than features, where the value is defined but far too high; with ``se`` and
            fewer than 5 (D + 1) samples, or where a random half of them has fewer than D + 1: ``fid_corrected`` is then
            NaN; with ``captions``, where real samples came with captions too, and theirs are others.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([FID()], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [2.0], [4.0]]), real=True)
        >>> metric.update(torch.tensor([[3.0], [5.0], [7.0]]), real=False)
        >>> metric.compute()
        {'fd_features': tensor(9., dtype=torch.float64)}
    """

    captions: bool = field(default=False, kw_only=True)
    se: bool = field(default=False, kw_only=True)
    both: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)
    reservoir: int = field(default=RESERVOIR, kw_only=True)

    label: ClassVar[str] = "fid"
    group: ClassVar[str] = "core"
    paper: ClassVar[str] = "Heusel et al., NeurIPS 2017"

    def __post_init__(self) -> None:
        for name in ("captions", "se", "both"):
            check_flag(f"FID {name}", getattr(self, name))
        check_integer("FID cluster", self.cluster, least=1)
        check_integer("FID reservoir", self.reservoir, least=2)
        if not self.se and (self.both or self.cluster != 1 or self.reservoir != RESERVOIR):
            raise ValueError("FID both, cluster and reservoir are of its standard error. Remedy: se=True.")
        if self.reservoir < 2 * self.cluster:
            raise ValueError(
                f"FID reservoir: expected two clusters of {self.cluster} at least, got {self.reservoir} rows. Remedy: "
                f"reservoir={100 * self.cluster}."
            )

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return _scalars("both sides random" if self.both else GIVEN) if self.se else (DISTANCE,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        """Return what any instance may yield; a key alone does not tell what is random."""
        is_own = cls.scalars is not FID.scalars  # a class of one's own, which says itself what it yields
        return super().known_scalars() if is_own else _scalars(f"{GIVEN} unless both=True")

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        moments = Moments(width(spec, "FID"))
        real, fake = ((KnownCaptions(),), (CaptionDigest(),)) if self.captions else ((), ())
        if self.se:
            kept = self._kept(spec)
            real, fake = (*kept.of_real, *real), (*kept.of_fake, *fake)
        return {"real": (moments, *real), "fake": (moments, *fake)}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(2, "FID")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        moments = Moments(width(sides.spec, "FID"))
        for side in (sides.real, sides.fake):
            warn_if_few(side, moments.num_features)
        if self.captions:
            _warn_if_of_other_captions(sides)
        if self.se:
            found = estimate(sides, self._kept(sides.spec))
            return dict(zip(self.keys, (found.value, found.error, found.corrected, found.corrected_error)))
        return {"fid": distance_of(sides, moments)}

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        if not self.se:
            return {}
        found = estimate(sides, self._kept(sides.spec))
        if not len(found.fake.index):
            return {}
        return {"fid": Evidence("fid", float(found.corrected), found.fake, found.real, both=self.both)}

    def least_compared(self, spec: Spec) -> int:
        """Return so many that both halves, which hashes of ids draw, have more than D samples: within 3 deviations."""
        twice = 2 * (width(spec, "FID") + 1)
        return max(super().least_compared(spec), twice + 3 * isqrt(twice * self.cluster))

    def _kept(self, spec: Spec) -> KeptForErrors:
        return KeptForErrors(Moments(width(spec, "FID")), self.both, self.cluster, self.reservoir)


def _scalars(given: str) -> tuple[Scalar, ...]:
    corrected = Scalar("fid_corrected", "Fréchet distance, bias-corrected", "lower", FAMILY, kind="positive")
    return (
        DISTANCE,
        Scalar("fid_se", "", None, FAMILY, "fid", "fd_se", about=f"value at this N, {given}"),
        replace(corrected, elsewhere="fd_corrected"),
        Scalar(
            "fid_corrected_se", "", None, FAMILY, "fid_corrected", "fd_corrected_se", about=f"the distance, {given}"
        ),
    )


def warn_if_few(side: Side, num_features: int, measure: str = "FID") -> None:
    """Warn where a side has no more samples than features."""
    if side.num_samples <= num_features:
        warnings.warn(
            f"{measure} from {side.num_samples} {side.role} samples of {num_features} features: the covariance is "
            "singular and the value is biased upwards. Remedy: more samples than features (10,000 or more), or a "
            "smaller layer.",
            BiasWarning,
            stacklevel=2,
        )


def _warn_if_of_other_captions(sides: Sides) -> None:
    """Warn where all real samples came with captions, and generated ones are of others."""
    known, given = KnownCaptions(), CaptionDigest()
    real, fake = known.read(sides.real[known]), given.read(sides.fake[given])
    if known.count(sides.real[known]) == sides.real.num_samples and real != fake:
        warnings.warn(
            f"FID(captions=True): expected both sides to be of equal captions, got {real} of {sides.real.num_samples} "
            f"real samples, {fake} of {sides.fake.num_samples} generated ones: part of the distance may be between "
            "captions. Remedy: generate one image for each caption of the real side.",
            BiasWarning,
            stacklevel=2,
        )
