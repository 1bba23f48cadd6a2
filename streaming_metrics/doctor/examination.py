"""Examination: one decoding of both sides, through every network input that a protocol needs, and what is kept of it.

It is given to a reader of images in a metric's place. Floats come as 8 bits by several rules at once, one after another
in the channels (:mod:`streaming_metrics.doctor.quantise`): each rule has a metric of its own for generated images.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from streaming_metrics.core.repeats import distinct_of
from streaming_metrics.core.shell import GenerativeMetrics
from streaming_metrics.doctor.facts import ReferenceFacts, SideFacts, TraitMoments
from streaming_metrics.doctor.kept import TRAITS, KeptFeatures, KeptTraits, Predictions
from streaming_metrics.doctor.settings import FILE, IMAGES, Setting
from streaming_metrics.doctor.traits import Traits
from streaming_metrics.files.npz import UNKNOWN, digest_of_moments
from streaming_metrics.measures.base import BiasWarning, Side
from streaming_metrics.measures.frechet import FID
from streaming_metrics.measures.gaussian import Gaussian, frechet_distance, gaussian_of
from streaming_metrics.statistics import HalfMoments, Moments

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import torch
    from torch import Tensor

    from streaming_metrics.doctor.settings import Rounding
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.files.reference import Reference
    from streaming_metrics.measures.base import Sides

ROLES = {"real": "real", "fake": "generated"}
Pass = tuple[str, str]
"""Network input: a resize and a precision."""


@dataclass(frozen=True)
class Draws:
    """Which parts of the images moments are kept of.

    Args:
        fake: how many generated images there are.
        parts: of those, how many to draw.
        seed: of the draw.
    """

    fake: int
    parts: tuple[int, ...] = ()
    seed: int = 0


class Examination:
    """Examination of two sides.

    Args:
        networks: by what protocols call their input; the first is the one that checks look at.
        draws: which parts to keep.
        rules: by which floats of the generated side are rounded, in the order of their channels.
        timeout: seconds to wait for other ranks.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from streaming_metrics.extractors import ModuleExtractor
        >>> colour = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        >>> net = ModuleExtractor(colour, tag="colour", value_range=(0, 1))
        >>> seen = Examination({("", "fp32"): net}, Draws(fake=8, parts=(4,)))
        >>> images = torch.arange(8 * 3 * 256).remainder(251).to(torch.uint8).view(8, 3, 16, 16)
        >>> for real in (True, False):
        ...     seen.update(images, real=real, index=torch.arange(8))
        >>> round(seen.value(Setting()), 9)
        0.0
    """

    def __init__(
        self,
        networks: Mapping[Pass, Extractor],
        draws: Draws,
        rules: Sequence[Rounding] = ("rounded",),
        timeout: float = 1800.0,
    ) -> None:
        self.networks, self.draws, self.rules = dict(networks), draws, tuple(rules)
        self.base = next(iter(self.networks))
        self.names = {key: f"input_{place}" for place, key in enumerate(self.networks)}
        self.metrics = [self._metric(place, timeout) for place in range(len(self.rules))]
        self._distances: dict[tuple[Rounding, Pass, int | None, str], tuple[float, float, float, float]] = {}
        self.file: Reference | None = None

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.metrics[0].device

    def update(self, images: Tensor, *, real: bool, index: Tensor) -> None:
        """Add a batch: real images ``(N, 3, H, W)``, or generated ones, three channels for each rule."""
        if real:
            self.metrics[0].update(images, real=True, index=index)
            return
        for place, metric in enumerate(self.metrics):
            metric.update(images[:, 3 * place : 3 * place + 3].contiguous(), real=False, index=index)

    def value(self, setting: Setting) -> float:
        """Return the Fréchet distance under a setting; the same on every rank, which all must ask for it."""
        key = (setting.quantisation, (setting.resize, setting.precision), setting.num_samples, setting.reference)
        if key not in self._distances:
            real = self._real(key[1], setting.reference)
            self._distances[key] = _parts(real, self._fake(*key[:3]))
        shift, of_real, of_fake, cross = self._distances[key]
        if setting.ddof == 0:
            n, m = self.counts(setting)
            of_real, of_fake = of_real * (1 - 1 / n), of_fake * (1 - 1 / m)
            cross *= ((1 - 1 / n) * (1 - 1 / m)) ** 0.5
        return max(0.0, shift + of_real + of_fake - 2 * cross)

    def halves(self) -> float | None:
        """Return the Fréchet distance between two halves of the real side; None where these are too small."""
        side, moments, half = self._sides[0][self.base].real, self._moments, HalfMoments(self._moments.num_features)
        states = side[half], half.rest(side[moments], side[half])
        one, other = (Gaussian(moments, state, int(moments.count(state))) for state in states)
        return float(frechet_distance(one, other)) if min(one.num_samples, other.num_samples) > 1 else None

    def estimate(self) -> tuple[float, float, float]:
        """Return the score's standard error, the score without the bias of so many samples, and the error of that; NaN
        where there are too few samples.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiasWarning)  # a check says so, with numbers
            found = FID(se=True).compute(self._sides[0][self.base], {}, {})
        return float(found["fid_se"]), float(found["fid_corrected"]), float(found["fid_corrected_se"])

    def side(self, role: str, classes: Mapping[str, int]) -> SideFacts:
        """Return the facts of a side, images by class given."""
        sides, pixels = self._sides[0][self.base], self._traits
        side, traits = sides[role], pixels[role][TRAITS]
        gaussian = gaussian_of(side, self._moments)
        covariance = gaussian.covariance
        spread, squared = float(covariance.trace()), float(covariance.square().sum())
        predicted = Predictions(sides.spec.num_classes) if sides.spec.num_classes else None
        return SideFacts(
            ROLES[role],
            side.num_samples,
            TraitMoments(TRAITS.mean(traits).cpu(), TRAITS.covariance(traits).cpu()),
            distinct_of(side),
            float(gaussian.mean.norm()),
            spread,
            spread**2 / squared if squared else 0.0,
            classes,
            None if predicted is None else side[predicted]["counts"],
        )

    def reference(self, setting: Setting) -> ReferenceFacts | None:
        """Return the facts of the saved reference, which ``setting`` is meant with; None where there is none."""
        if self.file is None:
            return None
        known = self.file.num_samples
        base = (setting.resize, setting.precision)
        shift = (self._real(base, FILE).mean - self._real(base, IMAGES).mean).square().sum()
        distances = {
            key[0]: float(frechet_distance(self._real(key, IMAGES), self._real(key, FILE))) for key in self.networks
        }
        value = self.value(replace(setting, reference=FILE))
        return ReferenceFacts(None if known >= UNKNOWN else known, float(shift), distances, setting.resize, value)

    def digest_of_file(self) -> str:
        """Return how a signature names the reference's moments, where it does not say of how many samples they are."""
        assert self.file is not None
        return digest_of_moments(self.file.state_of(self._moments)["moments"])

    @cached_property
    def _sides(self) -> list[dict[Pass, Sides]]:
        """The sides over all ranks, of each rule and network input; made once, where all images have been read."""
        inspectors = [metric.inspector("explain") for metric in self.metrics]
        return [{key: one.sides(name) for key, name in self.names.items()} for one in inspectors]

    @cached_property
    def _traits(self) -> Sides:
        return self.metrics[0].inspector("explain").sides(Traits.name)

    @property
    def _moments(self) -> Moments:
        width = self.networks[self.base].spec.num_features
        assert width is not None
        return Moments(width)

    def _metric(self, place: int, timeout: float) -> GenerativeMetrics:
        measures = [self._kept(key, is_first=place == 0 and key == self.base) for key in self.networks]
        named = {self.names[key]: network for key, network in self.networks.items()}
        if place == 0:
            return GenerativeMetrics(
                [*measures, KeptTraits(on=Traits.name)],
                {**named, Traits.name: Traits()},
                timeout=timeout,
                name=f"explain_{place}",
            )
        return GenerativeMetrics(measures, named, timeout=timeout, name=f"explain_{place}")

    def _kept(self, key: Pass, *, is_first: bool) -> KeptFeatures:
        draws, name = self.draws, self.names[key]
        return KeptFeatures(name, draws.fake, draws.parts, draws.seed, is_first, on=name)

    def _real(self, key: Pass, reference: str) -> Gaussian:
        if reference == IMAGES:
            return gaussian_of(self._sides[0][key].real, self._moments)
        assert self.file is not None
        state = {name: tensor.to(self._device) for name, tensor in self.file.state_of(self._moments).items()}
        side = Side("real", self.file.num_samples, {self._moments: state}, kept=self._of_file)
        return gaussian_of(side, self._moments)

    @cached_property
    def _of_file(self) -> dict[Hashable, Any]:
        return {}

    @property
    def _device(self) -> torch.device:
        return self._sides[0][self.base].real[self._moments]["moments"].device

    def _fake(self, rule: Rounding, key: Pass, num_samples: int | None) -> Gaussian:
        side = self._sides[self.rules.index(rule)][key].fake
        if num_samples is None:
            return gaussian_of(side, self._moments)
        drawn = self._kept(key, is_first=False).drawn(self._moments.num_features, num_samples)
        return side.once(drawn, lambda: Gaussian(drawn, side[drawn], int(drawn.count(side[drawn]))))

    def counts(self, setting: Setting) -> tuple[int, int]:
        """Return the numbers of samples of a setting; of a file that does not say, ``npz.UNKNOWN``."""
        key = (setting.resize, setting.precision)
        fake = self._fake(setting.quantisation, key, setting.num_samples)
        return self._real(key, setting.reference).num_samples, fake.num_samples


def _parts(real: Gaussian, fake: Gaussian) -> tuple[float, float, float, float]:
    """Return squared distance of means, both traces, and the trace of the root, of which a distance is made."""
    shift = float((real.mean - fake.mean).square().sum())
    of_real, of_fake = float(real.trace), float(fake.trace)
    cross = (shift + of_real + of_fake - float(frechet_distance(real, fake))) / 2
    return shift, of_real, of_fake, cross
