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
from streaming_metrics.measures.influence import drawn_of
from streaming_metrics.statistics import HalfMoments, Moments, Reservoir
from streaming_metrics.statistics.index import cluster_of, in_first_half
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
    of_real, of_fake = drawn_of(real, kept.real_reservoir), drawn_of(fake, kept.reservoir)
    if kept.both and of_real is None:
        raise ValueError(
            "FID(both=True): expected features of the real side, got moments alone. Remedy: both=False, which takes "
            "the reference as given, or a reference that is saved from the images by this measure."
        )
    if of_fake is None:
        return _of_moments_alone(coupling, sides)
    fakes = _influence(of_fake, coupling.of_fake(of_fake.rows).influence, fake, kept.cluster)
    reals = None if of_real is None else _influence(of_real, coupling.of_real(of_real.rows).influence, real)
    error = hypot(fakes.error, reals.error) if kept.both and reals else fakes.error
    value, step = _corrected(coupling, sides, kept, of_real, of_fake)
    errors = torch.tensor([error, error + step / INTERVAL], dtype=torch.float64, device=value.device)
    _warn_if_heavy(fakes)
    return Estimate(coupling.distance, errors[0], value, errors[1], fakes, reals)


def _of_moments_alone(coupling: Coupling, sides: Sides) -> Estimate:
    """Return the estimate where features of some generated samples are not kept, as of a reference that another measure
    wrote.
    """
    warnings.warn(
        "FID(se=True): expected features of the generated side, got moments alone, of some of its samples at least: no "
        "error and no corrected value. " + _SAVED_SO,
        BiasWarning,
        stacklevel=2,
    )
    unknown = torch.full_like(coupling.distance, nan)
    none = Influence(np.empty(0, np.int64), np.empty(0), sides.fake.num_samples)
    return Estimate(coupling.distance, unknown, unknown, unknown, none, None)


def _influence(drawn: Drawn, values: Tensor, side: Side, cluster: int = 1) -> Influence:
    return Influence(drawn.index.cpu().numpy(), values.cpu().numpy(), side.num_samples, cluster)


def _corrected(
    coupling: Coupling, sides: Sides, kept: KeptForErrors, of_real: Drawn | None, of_fake: Drawn
) -> tuple[Tensor, float]:
    """Return the distance without its bias, and by how much it may be off; NaN where samples are too few."""
    fake, *fakes = _parts(sides.fake, coupling.y, kept, of_fake, kept.cluster)
    real, *reals = [Part(coupling.x, None)] * 3
    if kept.both and of_real is not None:
        real, *reals = _parts(sides.real, coupling.x, kept, of_real, 1)
    least = kept.moments.num_features + 1
    random = [(fake, fakes)] if real.rows is None else [(fake, fakes), (real, reals)]
    sizes = [half.gaussian.num_samples for _, halves in random for half in halves]
    is_enough = min(sizes) >= least and all(_has_rows(half) for _, halves in random for half in halves)
    if any(whole.gaussian.num_samples >= 2 * least and not halves[0].gaussian.num_samples for whole, halves in random):
        _warn_of_no_half()
    elif not is_enough or min(whole.gaussian.num_samples for whole, _ in random) < 5 * least:
        _warn_of_few(sides, kept, sizes)
    if not is_enough:
        return torch.full_like(coupling.distance, nan), nan
    value, step = corrected(coupling, real, fake, list(zip(reals, fakes)))
    return value, float(step)


def _has_rows(part: Part) -> bool:
    return part.rows is not None and len(part.rows) > 0


def _parts(side: Side, whole: Gaussian, kept: KeptForErrors, drawn: Drawn, cluster: int) -> list[Part]:
    """Return a side and both of its halves, as Gaussians and rows."""
    half = kept.half(side.role)
    gaussians = side.once(half, lambda: _gaussians(side, kept.moments, half))
    is_first = in_first_half(drawn.index, cluster)
    clusters = cluster_of(drawn.index, cluster) if cluster > 1 else None
    halves = [
        Part(gaussian, drawn.rows[rows], None if clusters is None else clusters[rows])
        for gaussian, rows in zip(gaussians, (is_first, ~is_first))
    ]
    return [Part(whole, drawn.rows, clusters), *halves]


def _gaussians(side: Side, moments: Moments, half: HalfMoments) -> list[Gaussian]:
    first = side[half]
    states = first, half.rest(side[moments], first)
    return [Gaussian(moments, state, int(moments.count(state))) for state in states]


def _warn_of_no_half() -> None:
    warnings.warn(
        "FID(se=True): expected moments of half of each side that is random, got none: no corrected value. "
        + _SAVED_SO,
        BiasWarning,
        stacklevel=2,
    )


def _warn_of_few(sides: Sides, kept: KeptForErrors, halves: list[int]) -> None:
    least = kept.moments.num_features + 1
    counts = f"{sides.fake.num_samples} generated" + (f" and {sides.real.num_samples} real" if kept.both else "")
    warnings.warn(
        f"FID(se=True) of {counts} samples of {least - 1} features: expected at least {least} in each half, got "
        f"{' and '.join(map(str, halves))}, and some of each in the reservoir, to correct for their number at all, and "
        f"{5 * least} in all for what is left of the bias to be small. Remedy: more samples, or fewer features.",
        BiasWarning,
        stacklevel=2,
    )


def _warn_if_heavy(influence: Influence) -> None:
    squares = (influence.values - influence.values.mean()) ** 2
    spread = squares.mean()
    if spread and (kurtosis := float(((squares / spread) ** 2).mean())) > HEAVY:
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
