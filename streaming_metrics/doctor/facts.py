"""Facts: all that the checks may look at, of both sides, once every image has been read."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, sqrt
from typing import TYPE_CHECKING

from scipy import stats

from streaming_metrics.doctor.traits import PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from streaming_metrics.statistics import DistinctCount

ALPHA = 1e-4
"""Error rate of each test: a dozen of them raise a false alarm on one of a thousand clean pairs."""
SMALL = 0.2
"""Cohen's d that is called small (J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988): 58 % of one
side's images are then above the other's median. Below it a difference may be certain, since there are many images, and
is none that a score notices.
"""
ROUNDING = 1e-9
"""Differences of traits that rounding alone makes."""


@dataclass(frozen=True)
class TraitMoments:
    """Mean and covariance of the traits of one side's images.

    Args:
        mean: ``(T,)`` float64.
        covariance: ``(T, T)`` float64.
    """

    mean: Tensor
    covariance: Tensor

    def of(self, **weights: float) -> tuple[float, float]:
        """Return mean and variance of a weighted sum of traits, by name."""
        row = self.mean.new_zeros(len(self.mean))
        for name, weight in weights.items():
            row[PLACES[name]] = weight
        return float(row @ self.mean), max(0.0, float(row @ self.covariance @ row))

    def average(self, name: str) -> float:
        """Return the mean of one trait."""
        return self.of(**{name: 1})[0]


@dataclass(frozen=True)
class SideFacts:
    """Facts of one side.

    Args:
        name: ``"real"`` or ``"generated"``.
        num_samples: images read.
        traits: of their pixels.
        distinct: how many of them are; None where that is not known.
        mean_norm: length of the mean of the features.
        spread: trace of their covariance.
        directions: participation ratio ``(tr Σ)²/‖Σ‖²``, the number of directions that features spread in.
        classes: images by the folder that each lies in; empty where these are no classes.
        predictions: images by the class that the network takes them for; None where it predicts none.
    """

    name: str
    num_samples: int
    traits: TraitMoments
    distinct: DistinctCount | None = None
    mean_norm: float = 1.0
    spread: float = 1.0
    directions: float = 1.0
    classes: Mapping[str, int] = field(default_factory=dict)
    predictions: Tensor | None = None


@dataclass(frozen=True)
class ReferenceFacts:
    """Facts of a saved reference, against the real images given.

    Args:
        num_samples: it was made of; None where the file does not say.
        shift: ``‖μ_file − μ_images‖²`` of features.
        distances: Fréchet distances of the file to the real images, by resize of these.
        resize: which of these is meant.
        value: the score against it.
    """

    num_samples: int | None
    shift: float
    distances: Mapping[str, float]
    resize: str
    value: float


@dataclass(frozen=True)
class Facts:
    """Facts of a comparison.

    Args:
        real, fake: the sides.
        num_features: D.
        value: the score.
        half_value: the score of half of the generated samples.
        error: standard error of the score, given the reference.
        corrected: the score without the bias of so many samples; None where they are too few.
        halves: Fréchet distance between two halves of the real side; None where it is too small.
        network: the extractor, for its weights.
        is_published: whether its weights are those that the measure is published on; None where there are none such.
        reference: beside the real images; None where there is none.
    """

    real: SideFacts
    fake: SideFacts
    num_features: int
    value: float
    half_value: float | None = None
    error: float | None = None
    corrected: float | None = None
    halves: float | None = None
    network: nn.Module | None = None
    is_published: bool | None = None
    reference: ReferenceFacts | None = None

    @property
    def sides(self) -> tuple[SideFacts, SideFacts]:
        return self.real, self.fake


@dataclass(frozen=True)
class Contrast:
    """Contrast of the two sides' mean of a trait.

    Args:
        real, fake: means.
        p_value: of Welch's test that they are equal.
        effect: Cohen's d, their difference in standard deviations of an image.
    """

    real: float
    fake: float
    p_value: float
    effect: float

    @classmethod
    def of(cls, facts: Facts, **weights: float) -> Contrast:
        """Return the contrast of a weighted sum of traits, by name."""
        (real, varies), (fake, varies_too) = (side.traits.of(**weights) for side in facts.sides)
        n, m = (side.num_samples for side in facts.sides)
        difference = fake - real
        if abs(difference) <= ROUNDING:
            return cls(real, fake, 1.0, 0.0)
        if varies + varies_too <= ROUNDING**2:
            return cls(real, fake, 0.0, inf)
        a, b = varies / n, varies_too / m
        freedom = (a + b) ** 2 / (a**2 / max(1, n - 1) + b**2 / max(1, m - 1))
        p_value = float(2 * stats.t.sf(abs(difference) / sqrt(a + b), freedom))
        return cls(real, fake, p_value, difference / sqrt((varies + varies_too) / 2))

    @property
    def is_fault(self) -> bool:
        """Whether the difference is certain, and not too small to matter."""
        return self.p_value < ALPHA and abs(self.effect) >= SMALL
