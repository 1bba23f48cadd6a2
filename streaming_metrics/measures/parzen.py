"""Parzen log-likelihood: that of real samples under a kernel density estimate of the generated ones.

O. Breuleux, Y. Bengio, P. Vincent, "Quickly generating representative samples from an RBM-derived process", Neural
Computation 2011; I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014. What is wrong with it: L. Theis,
A. van den Oord, M. Bethge, "A note on the evaluation of generative models", ICLR 2016.
Parity target: scikit-learn's ``KernelDensity`` (with leaves of all samples: in many dimensions its trees stop adding
too early), and the procedure of Goodfellow's ``parzen_ll.py``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.bandwidth_grid import bandwidths_of, checked_widths, is_at_an_end, typical_spread
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.sampled import NO_PLACES, check_places, sampled_places
from streaming_metrics.pairwise import Bandwidths
from streaming_metrics.statistics import Bank, FixedRows, KernelDensities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

LEAST = 4
"""Real samples: two for the bandwidth, and two for a mean with its error."""


@dataclass(frozen=True)
class ParzenLikelihood(Measure):
    """Parzen likelihood: mean log-likelihood of real samples under Gaussian kernels around the generated ones.

    ``parzen``: ``mean_i log (1/m) Σ_j N(x_i; y_j, w²·1)``, nats a sample, of D-dimensional features; range (−∞, ∞),
    higher is better; ``parzen_se`` is the standard error of that mean. The bandwidth w is the one of a grid for which
    another half of the real samples is likeliest: ``parzen_width``. Halves follow from hashed ids. The grid is 32
    widths in steps of 2^¼, from 1/54 to 4 times ``median ‖x_i − x_j‖ / √(2D)``, about the standard deviation of a
    coordinate. Give real samples that the generator was not trained on: samples that were copied are likely.

    Values of other features, widths D or numbers of generated samples cannot be compared. It is here for comparison
    with the papers that report it. In many dimensions it ranks models wrongly (Theis et al.): no number of samples that
    can be drawn brings it near the likelihood, k-means centres of the data can score above the data themselves, and
    poor samples above good ones.

    Of the real side ``most`` samples are looked at, which depend on the ids alone. Once it is frozen, of generated
    samples a running log-sum-exp for each of these and each width is kept.

    Args:
        most: real samples, half of them for the bandwidth, half for the value.
        widths: bandwidths to choose among, in the units of the features; by default the grid.

    Raises:
        NotEnoughSamples: at compute, with fewer than 4 real samples or no generated one.
        ValueError: where the median distance of the real rows is 0 and no widths are given.

    Warns:
        BiasWarning: where the chosen bandwidth is the smallest of several, as of copies of the real samples, or the
            largest, as of samples far from them.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([ParzenLikelihood(widths=(1.0,))], extractor=None, num_features=2)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]), real=True)
        >>> metric.update(torch.zeros(1, 2), real=False)  # -log 2π - 1/2
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'parzen_features': -2.338, 'parzen_se_features': 0.0, 'parzen_width_features': 1.0}
    """

    most: int = 500
    widths: tuple[float, ...] | None = None
    _rows: FixedRows | None = field(default=None, repr=False, compare=False, kw_only=True)
    _bandwidths: Bandwidths | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "parzen"
    group: ClassVar[str] = "density"
    paper: ClassVar[str] = "Goodfellow et al., NeurIPS 2014"

    def __post_init__(self) -> None:
        check_integer("ParzenLikelihood most", self.most, least=LEAST)
        object.__setattr__(self, "widths", checked_widths("ParzenLikelihood", self.widths))

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("parzen", "Parzen log-likelihood (nats)", "higher"),
            Scalar(
                "parzen_se",
                "Standard error of the Parzen log-likelihood",
                spread_of="parzen",
                about="the mean over real samples, given the generated ones and the bandwidth",
            ),
            Scalar("parzen_width", "Bandwidth of the Parzen log-likelihood"),
        )

    @property
    def fixed(self) -> Role | None:
        return "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self._bank(spec)
        return {"real": (bank,), "fake": (self._densities(spec) if self._is_bound else bank,)}

    def check(self, sides: Sides) -> None:
        sides.real.require(LEAST, "ParzenLikelihood")
        sides.fake.require(1, "ParzenLikelihood")

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        return {"places": NO_PLACES, "tops": torch.empty(0, dtype=torch.float64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        bank = self._bank(spec)
        side.require(LEAST, "ParzenLikelihood")
        scale = typical_spread("ParzenLikelihood", side, side.rows(bank, self.most)) if self.widths is None else 0.0
        places = sampled_places(side, bank, self.most)
        return {"places": places, "tops": bandwidths_of(self.widths, scale).tops.to(places.device)}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        check_places(prepared, num_samples, self.most)
        expected, tops = bandwidths_of(self.widths, 1.0), prepared["tops"]
        if len(tops) != len(expected.tops) or not (tops > 0).all():
            raise ValueError(f"expected {len(expected.tops)} bandwidths greater than 0, got {tops.tolist()}.")

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> ParzenLikelihood:
        if side is None:
            return replace(self, _is_bound=True)
        rows = FixedRows(side[self._bank(spec)]["rows"][prepared["places"]])
        bandwidths = replace(bandwidths_of(self.widths, 1.0), tops=prepared["tops"])
        return replace(self, _is_bound=True, _rows=rows, _bandwidths=bandwidths)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        assert self._bandwidths is not None
        statistic = self._densities(sides.spec)
        logs, widths = statistic.log_densities(sides.fake[statistic]), self._bandwidths.widths
        for_width, for_value = logs.tensor_split([logs.shape[1] // 2], 1)
        best = int(for_width.mean(1).argmax())
        _warn_at_an_end(widths, best)
        error = for_value[best].std() / for_value.shape[1] ** 0.5
        return {"parzen": for_value[best].mean(), "parzen_se": error, "parzen_width": widths[best].to(error)}

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "ParzenLikelihood"))

    def _densities(self, spec: Spec) -> KernelDensities:
        return KernelDensities(width(spec, "ParzenLikelihood"), self.most, self.widths, self._rows, self._bandwidths)


def _warn_at_an_end(widths: Tensor, best: int) -> None:
    if which := is_at_an_end(widths, best):
        why = "generated samples copy real ones" if which == "smallest" else "generated samples are far from real ones"
        warnings.warn(
            f"ParzenLikelihood: of all bandwidths the {which} is best, {widths[best]:.3g}, so that others would be "
            f"better still: {why}, or `widths` are of another scale. Remedy: look at the samples; give `widths`.",
            BiasWarning,
            stacklevel=3,
        )
