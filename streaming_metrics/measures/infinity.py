"""FID∞ and IS∞: scores extrapolated to infinitely many samples.

M. J. Chong, D. Forsyth, "Effectively unbiased FID and Inception Score and where to find them", CVPR 2020.
Parity target: none exactly, since the authors' code and dgm-eval draw subsets without a seed; their expectation.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from streaming_metrics.measures.base import MORE, BiasWarning, Measure, NotEnoughSamples, Scalar, width
from streaming_metrics.measures.gaussian import Gaussian, frechet_distance, gaussian_of
from streaming_metrics.measures.inception_score import entropy
from streaming_metrics.statistics import Marginals, Moments, Prefixes
from streaming_metrics.statistics.prefixes import SHARES, intercept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import State, Statistic

LEAST = 20
"""Samples of which the smallest subset is likely to hold two."""


@dataclass(frozen=True)
class FIDInfinity(Measure):
    """FID∞: Fréchet distance extrapolated to infinitely many generated samples.

    Where the line meets 0 that is fitted to the distances of nested subsets of the generated samples, 0.106, 0.335 and
    all of them, over the inverse of their sizes; weighted so that it is, up to terms of fourth order in that inverse,
    what 15 subsets of sizes from a tenth to all of them give, as the authors' and dgm-eval's do at 50,000 samples.
    Theirs are drawn independently and anew each time; these by the hash of the ids, so that they add up: the signature
    says ``subsets=nested``. Range (−∞, ∞), lower is better; below 0 by chance near a distance of 0.

    The bias that falls as 1/N is gone, and not what falls as 1/N²: of Gaussian samples, −14 % of the bias of ``fid`` is
    left at N = 20·D, −5 % at 50·D. The spread is 2 to 3 times that of ``fid`` near a distance of 0, and there is no
    error of it. It is here since it is published: of the distance itself ``fid_corrected`` of ``FID(se=True)`` says
    more, and has an interval. The real side is taken as it is, with its own bias. Three moments are kept of generated
    samples, 101 MB of 2048 features.

    Args:
        subsets: how subsets are drawn; there is one way.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 real samples, or 2 in the smallest subset.

    Warns:
        BiasWarning: where the smallest subset has no more samples than features, as of fewer than 10·D: its distance is
            then on no line with the others.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([FIDInfinity()], extractor=None, num_features=1)
        >>> rows = torch.linspace(-1, 1, 4000).view(-1, 1)
        >>> metric.update(rows, real=True)
        >>> metric.update(rows + 2, real=False)
        >>> round(metric.compute()["fd_inf_features"].item(), 1)
        4.0
    """

    subsets: Literal["nested"] = "nested"

    label: ClassVar[str] = "fid_inf"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Chong and Forsyth, CVPR 2020"

    def __post_init__(self) -> None:
        _check_subsets("FIDInfinity", self.subsets)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("fid_inf", "FID∞, subsets nested", "lower", "Fréchet distance", elsewhere="fd_inf"),)

    def describe(self) -> str:
        return f"{self.label}(subsets={self.subsets})"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        moments = Moments(width(spec, "FIDInfinity"))
        return {"real": (moments,), "fake": (Prefixes(moments),)}

    def check(self, sides: Sides) -> None:
        sides.real.require(2, "FIDInfinity")
        sides.fake.require(LEAST, "FIDInfinity")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        moments = Moments(width(sides.spec, "FIDInfinity"))
        real, (sizes, states) = gaussian_of(sides.real, moments), _subsets(sides.fake, Prefixes(moments), 2)
        _warn_if_few(int(sizes[0]), moments.num_features)
        values = [frechet_distance(real, Gaussian(moments, one, int(n))) for n, one in zip(sizes, states)]
        return {"fid_inf": intercept(sizes, torch.stack(values))}


@dataclass(frozen=True)
class ISInfinity(Measure):
    """IS∞: Inception Score extrapolated to infinitely many samples.

    Where the line meets 0 that is fitted to the scores, of one split each, of nested subsets of the generated samples
    over the inverse of their sizes: see :class:`FIDInfinity`. Range (−∞, ∞), higher is better. It is above the score of
    these samples, which is too low, the more so the more classes there are. Three vectors of sums are kept.

    Args:
        subsets: how subsets are drawn; there is one way.

    Raises:
        NotEnoughSamples: at compute, with fewer than 20 samples, or none in the smallest subset.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([ISInfinity()], extractor=None, num_classes=2)
        >>> metric.update(Features(logits=torch.arange(40.0).view(40, 1).expand(40, 2)), real=False)
        >>> round(metric.compute()["is_inf_features"].item(), 6)
        1.0
    """

    subsets: Literal["nested"] = "nested"

    label: ClassVar[str] = "is_inf"
    group: ClassVar[str] = "class predictions"
    paper: ClassVar[str] = "Chong and Forsyth, CVPR 2020"
    column: ClassVar[str] = "logits"
    jackknifed: ClassVar[tuple[str, ...]] = ("is_inf",)

    def __post_init__(self) -> None:
        _check_subsets("ISInfinity", self.subsets)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("is_inf", "IS∞, subsets nested", "higher", "Inception score"),)

    def describe(self) -> str:
        return f"{self.label}(subsets={self.subsets})"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        return {"fake": (Prefixes(self._marginals(spec)),)}

    def check(self, sides: Sides) -> None:
        sides.fake.require(LEAST, "ISInfinity")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        marginals = self._marginals(sides.spec)
        sizes, states = _subsets(sides.fake, Prefixes(marginals), 1)
        return {"is_inf": intercept(sizes, torch.stack([_score(marginals, one) for one in states]))}

    def _marginals(self, spec: Spec) -> Marginals:
        return Marginals(width(spec, "ISInfinity", "logits"), splits=1)


def _score(marginals: Marginals, state: State) -> Tensor:
    """Return the Inception Score of one split."""
    n = marginals.counts(state)[0]
    return (marginals.negentropies(state)[0] / n + entropy(marginals.probabilities(state)[0] / n)).exp()


def _subsets(side: Side, prefixes: Prefixes, least: int) -> tuple[Tensor, list[State]]:
    """Return the sizes and states of the nested subsets; raise NotEnoughSamples where the smallest is too small."""
    state = side[prefixes]
    sizes = prefixes.counts(state)
    if sizes[0] < least:
        raise NotEnoughSamples(
            f"A subset of {SHARES[0]:.3f} of the samples needs at least {least}, got {int(sizes[0])} of "
            f"{side.num_samples}. Remedy: {MORE}."
        )
    return sizes, prefixes.nested(state)


def _check_subsets(measure: str, subsets: str) -> None:
    if subsets != "nested":
        raise ValueError(f"{measure} subsets: expected 'nested', got {subsets!r}.")


def _warn_if_few(smallest: int, num_features: int) -> None:
    if smallest <= num_features:
        warnings.warn(
            f"FIDInfinity: the smallest subset has {smallest} samples of {num_features} features, so its covariance is "
            f"singular and no line leads from it to infinity. Remedy: {10 * num_features} samples or more, or "
            "FID(se=True), whose fid_corrected asks for fewer.",
            BiasWarning,
            stacklevel=3,
        )
