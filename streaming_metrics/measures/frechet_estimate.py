"""Estimate of the Fréchet distance: its standard error and bias, from what is kept of both sides."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import hypot, nan
from typing import TYPE_CHECKING

import numpy as np
import torch

from streaming_metrics.measures.base import BiasWarning
from streaming_metrics.measures.frechet_errors import Coupling, Part, corrected
from streaming_metrics.measures.gaussian import Gaussian, gaussian_of
from streaming_metrics.statistics import HalfMoments, Moments, Reservoir
from streaming_metrics.statistics.index import in_first_half
from streaming_metrics.verdicts.evidence import Influence

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.measures.base import Side, Sides
    from streaming_metrics.statistics import Statistic
    from streaming_metrics.statistics.reservoir import Drawn

HEAVY = 100
"""Kurtosis of influence values from which on a reservoir's standard error is itself off by a tenth."""
INTERVAL = 1.96


@dataclass(frozen=True)
class KeptForErrors:
    """What is kept of the sides beside moments, for the error and the bias of their Fréchet distance.

    Args:
        moments: of which features.
        both: whether the real side is random too.
        cluster: how many consecutive ids depend on each other.
        capacity: the most rows that are kept of a side; a multiple of ``cluster``.
    """

    moments: Moments
    both: bool
    cluster: int
    capacity: int

    @property
    def reservoir(self) -> Reservoir:
        capacity = max(1, self.capacity // self.cluster) * self.cluster
        return Reservoir(self.moments.num_features, capacity, cluster=self.cluster)

    @property
    def real_reservoir(self) -> Reservoir:
        return Reservoir(self.moments.num_features, self.capacity)

    def half(self, role: str) -> HalfMoments:
        return HalfMoments(self.moments.num_features, cluster=1 if role == "real" else self.cluster)

    @property
    def of_real(self) -> tuple[Statistic, ...]:
        return (self.real_reservoir, self.half("real")) if self.both else (self.real_reservoir,)

    @property
    def of_fake(self) -> tuple[Statistic, ...]:
        return self.reservoir, self.half("fake")


@dataclass(frozen=True)
class Estimate:
    """Estimate of the Fréchet distance, float64 ``()`` each.

    Args:
        value: of so many samples.
        error: its standard error.
        corrected: free of the bias of so many samples; NaN where they are too few.
        corrected_error: standard error of that, with half of the last correction in it.
        fake, real: influence of each side's samples; None where no real rows are kept.
    """

    value: Tensor
    error: Tensor
    corrected: Tensor
    corrected_error: Tensor
    fake: Influence
    real: Influence | None


def estimate(sides: Sides, kept: KeptForErrors) -> Estimate:
    """Return the estimate, made once for a pair of sides."""
    return sides.fake.once(("estimate", kept), lambda: _estimate(sides, kept))


def _estimate(sides: Sides, kept: KeptForErrors) -> Estimate:
    real, fake = sides.real, sides.fake
    coupling = Coupling(gaussian_of(real, kept.moments), gaussian_of(fake, kept.moments))
    of_real = kept.real_reservoir.read(real[kept.real_reservoir])
    of_fake = kept.reservoir.read(fake[kept.reservoir])
    if kept.both and len(of_real.rows) < 2:
        raise ValueError(
            "FID(both=True): expected features of the real side, got moments alone. Remedy: both=False, which takes "
            "the reference as given, or a reference that is saved from the images by this measure."
        )
    if len(of_fake.rows) < 2:
        return _of_moments_alone(coupling, sides)
    fakes = _influence(of_fake, coupling.of_fake(of_fake.rows).influence, fake, kept.cluster)
    reals = _influence(of_real, coupling.of_real(of_real.rows).influence, real) if len(of_real.rows) > 1 else None
    error = hypot(fakes.error, reals.error) if kept.both and reals else fakes.error
    value, step = _corrected(coupling, sides, kept, of_real, of_fake)
    errors = torch.tensor([error, error + step / INTERVAL], dtype=torch.float64, device=value.device)
    _warn_if_heavy(fakes)
    return Estimate(coupling.distance, errors[0], value, errors[1], fakes, reals)


def _of_moments_alone(coupling: Coupling, sides: Sides) -> Estimate:
    """Return the estimate where no generated features are kept, as of a reference that another measure wrote."""
    warnings.warn(
        "FID(se=True): expected features of the generated side, got moments alone: no error and no corrected value. "
        + _SAVED_SO,
        BiasWarning,
        stacklevel=2,
    )
    unknown = torch.full_like(coupling.distance, nan)
    none = Influence(np.empty(0, np.int64), np.empty(0), sides.fake.num_samples)
    return Estimate(coupling.distance, unknown, unknown, unknown, none, None)


def _influence(drawn: Drawn, values: Tensor, side: Side, cluster: int = 1) -> Influence:
    return Influence(drawn.index.cpu().numpy(), values.cpu().numpy(), side.num_samples, cluster)


def _corrected(
    coupling: Coupling, sides: Sides, kept: KeptForErrors, of_real: Drawn, of_fake: Drawn
) -> tuple[Tensor, float]:
    """Return the distance without its bias, and by how much it may be off; NaN where samples are too few."""
    fakes = _halves(sides.fake, kept, of_fake, kept.cluster)
    given = Part(coupling.x, None)
    reals = _halves(sides.real, kept, of_real, 1) if kept.both else [given, given]
    least = kept.moments.num_features + 1
    fewest = min(side.num_samples for side in ((sides.real, sides.fake) if kept.both else (sides.fake,)))
    if fewest < 5 * least:
        _warn_of_few(sides, kept)
    if fewest >= 2 * least and not fakes[0].gaussian.num_samples:
        warnings.warn(
            "FID(se=True): expected moments of half the generated side, got none: no corrected value. " + _SAVED_SO,
            BiasWarning,
            stacklevel=2,
        )
    if fewest < 2 * least or not all(one.rows is None or _is_enough(one, least) for one in (*fakes, *reals)):
        return torch.full_like(coupling.distance, nan), nan
    real = Part(coupling.x, of_real.rows) if kept.both else given
    value, step = corrected(coupling, real, Part(coupling.y, of_fake.rows), list(zip(reals, fakes)))
    return value, float(step)


def _is_enough(part: Part, least: int) -> bool:
    assert part.rows is not None
    return part.gaussian.num_samples >= least and len(part.rows) > 0


def _halves(side: Side, kept: KeptForErrors, drawn: Drawn, cluster: int) -> list[Part]:
    """Return both halves of a side, as Gaussians and rows."""
    half = kept.half(side.role)
    gaussians = side.once(half, lambda: _gaussians(side, kept.moments, half))
    is_first = in_first_half(drawn.index, cluster)
    return [Part(gaussian, drawn.rows[chosen]) for gaussian, chosen in zip(gaussians, (is_first, ~is_first))]


def _gaussians(side: Side, moments: Moments, half: HalfMoments) -> list[Gaussian]:
    first = side[half]
    states = first, half.rest(side[moments], first)
    return [Gaussian(moments, state, int(moments.count(state))) for state in states]


def _warn_of_few(sides: Sides, kept: KeptForErrors) -> None:
    least = kept.moments.num_features + 1
    counts = f"{sides.fake.num_samples} generated" + (f" and {sides.real.num_samples} real" if kept.both else "")
    warnings.warn(
        f"FID(se=True) of {counts} samples of {least - 1} features: expected at least {2 * least} to correct for their "
        f"number at all, and {5 * least} for what is left of the bias to be small. Remedy: more samples, or fewer "
        "features.",
        BiasWarning,
        stacklevel=2,
    )


def _warn_if_heavy(influence: Influence) -> None:
    centred = influence.values - influence.values.mean()
    spread = float((centred**2).mean())
    if spread and (kurtosis := float((centred**4).mean()) / spread**2) > HEAVY:
        warnings.warn(
            f"FID(se=True): few samples make most of the standard error (kurtosis {kurtosis:.0f}), which is then "
            "off by a tenth or more. Remedy: a larger reservoir=, and a look at the samples of most influence.",
            BiasWarning,
            stacklevel=2,
        )


_SAVED_SO = (
    "Remedy: give its images, or a reference that is saved from FID(se=True, both=True), as `streaming-metrics "
    "reference --se` does."
)
