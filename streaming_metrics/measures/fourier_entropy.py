"""FKEA: the effective number of different samples under a Gaussian kernel, by random Fourier features.

A. Ospanov, J. Zhang, M. Jalali, X. Cao, A. Bogdanov, F. Farnia, "Towards a scalable reference-free evaluation of
generative models", NeurIPS 2024. Parity target: the authors' ``FKEA``, given its frequencies.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.error_scalars import error_of
from streaming_metrics.measures.influence import drawn_of, influence_of
from streaming_metrics.measures.vendi import renyi_entropy, slopes, warn_of_no_rows
from streaming_metrics.statistics import FourierMoment, Reservoir
from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

LEAST = 1e-10
"""What the authors take smaller eigenvalues for."""
ORDERS = {"fkea_vendi": 1.0, "fkea_rke": 2.0, "fkea_inf": inf}
"""Order of each scalar."""
FAMILY = "Effective number of samples, Gaussian kernel"


@dataclass(frozen=True)
class FKEA(Measure):
    """Fourier-based kernel entropy approximation: effective numbers of different generated samples, Gaussian kernel.

    λ are the eigenvalues of ``1/n·Σ φφᵀ``, with ``φ(x) = [cos ωᵀx; sin ωᵀx] / √r`` of r random frequencies
    ω ~ N(0, I/σ²), which are those of the kernel matrix ``exp(−‖x − y‖² / 2σ²) / n`` up to errors of ``1/√(2r)``;
    each at least 1e-10. ``fkea_vendi`` is ``exp(−Σ λ·log λ)`` (Vendi score, order 1), ``fkea_rke`` ``1 / Σ λ²`` (RKE,
    order 2), ``fkea_inf`` ``1 / max λ`` (order ∞). Range [1, min(n, 2r)], higher is more diverse; compare equal n, σ
    and r. Needs no real samples, and keeps (2r)² numbers of them: 512 MB at r = 4000, whose eigenvalues cost 0.7 TFLOP;
    32 MB and 10 GFLOP at r = 1000.

    The width σ decides what counts as different, and no value serves all networks: σ = 20 and r = 4000 are the
    authors' for DINOv2. :class:`~streaming_metrics.Vendi` is that of cosines, exact. A seed gives the same frequencies
    everywhere, see :class:`~streaming_metrics.statistics.FourierMoment`. Compare values of one seed: between seeds they
    spread by up to ``1/√(2r)`` of themselves, and of few frequencies ``fkea_vendi`` is low (of 1000 samples, 36
    effective ones, by 15 % at r = 250 and 5 % at 1000).

    Args:
        sigma: σ, in units of the features.
        frequencies: r.
        seed: of the frequencies.
        se: report standard errors too, by the delta method, as Vendi does: with u_k the eigenvectors, of
            ``Σ_k s_k·(u_kᵀφ_i)²``, ``s_k = −log λ_k``, ``−2·λ_k / Σ λ²``, or ``−1 / λ_1`` of the largest, of
            ``reservoir`` samples that are kept. They are of the value at this N, and cost eigenvectors.
        cluster: how many consecutive ids depend on each other, as images of one prompt do.
        reservoir: how many.

    Raises:
        NotEnoughSamples: at compute, without samples.

    Warns:
        BiasWarning: where ``fkea_rke`` is above n/2: the kernel finds hardly two samples alike, and the value tells of
            n or of r.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([FKEA(sigma=1.0, frequencies=500)], extractor=None, num_features=2)
        >>> corners = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 9.0]])  # four modes, far apart
        >>> metric.update(corners.repeat(25, 1) + torch.linspace(0, 0.01, 100).unsqueeze(1), real=False)
        >>> [round(value.item(), 1) for value in metric.compute().values()]
        [4.0, 4.0, 3.8]
    """

    sigma: float = 20.0
    frequencies: int = 4000
    seed: int = 0
    se: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)
    reservoir: int = field(default=2000, kw_only=True)

    label: ClassVar[str] = "fkea"
    group: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Ospanov et al., NeurIPS 2024"

    def __post_init__(self) -> None:
        check_real("FKEA sigma", self.sigma, above=0)
        object.__setattr__(self, "sigma", float(self.sigma))
        check_integer("FKEA frequencies", self.frequencies, least=1)
        check_integer("FKEA seed", self.seed, least=0, most=2**32 - 1)
        check_flag("FKEA se", self.se)
        check_integer("FKEA cluster", self.cluster, least=1)
        check_integer("FKEA reservoir", self.reservoir, least=2)
        if self.cluster != 1 and not self.se:
            raise ValueError("FKEA cluster is of its standard errors. Remedy: se=True.")

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        titles = ("Vendi score of a Gaussian kernel", "RKE of a Gaussian kernel", "Order ∞ of a Gaussian kernel")
        told = [Scalar(key, title, "higher", FAMILY, kind="positive") for key, title in zip(ORDERS, titles)]
        return tuple(one for scalar in told for one in (scalar, *([error_of(scalar, "value at this N")] * self.se)))

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        return {"fake": (self._moment(spec), *((self._kept(spec),) if self.se else ()))}

    def check(self, sides: Sides) -> None:
        sides.fake.require(1, "FKEA")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        fake, moment = sides.fake, self._moment(sides.spec)
        decomposed = symmetric_eigenvectors if self.se else lambda mean: (torch.linalg.eigvalsh(mean), None)
        values, vectors = fake.once((moment, self.se), lambda: decomposed(moment.mean(fake[moment])))
        spectrum = values.clamp(min=LEAST)
        found = {key: renyi_entropy(spectrum, q).exp() for key, q in ORDERS.items()}
        _warn_if_apart(found["fkea_rke"], fake)
        if vectors is None:
            return found
        errors = self._errors(fake, moment, spectrum, vectors, self._kept(sides.spec))
        return {k: v for key in ORDERS for k, v in ((key, found[key]), (f"{key}_se", found[key] * errors[key]))}

    def _errors(
        self, fake: Side, moment: FourierMoment, spectrum: Tensor, vectors: Tensor, kept: Reservoir
    ) -> dict[str, float]:
        """Return the standard errors of the entropies, nats, by key; NaN where no rows were drawn from all samples."""
        if (drawn := drawn_of(fake, kept)) is None:
            warn_of_no_rows("FKEA")
            return dict.fromkeys(ORDERS, torch.nan)
        squares = (moment.embedded(drawn.rows) @ vectors).square_()
        of_orders = {key: squares @ slopes(spectrum, q) for key, q in ORDERS.items()}
        influences = {key: influence_of(drawn.index, each, self.cluster) for key, each in of_orders.items()}
        return {key: replace(one, num_samples=fake.num_samples).error for key, one in influences.items()}

    def _moment(self, spec: Spec) -> FourierMoment:
        return FourierMoment(width(spec, "FKEA"), self.frequencies, self.sigma, self.seed)

    def _kept(self, spec: Spec) -> Reservoir:
        capacity = max(self.reservoir // self.cluster, 2) * self.cluster
        return Reservoir(width(spec, "FKEA"), capacity, cluster=self.cluster)


def _warn_if_apart(rke: Tensor, fake: Side) -> None:
    if float(rke) > fake.num_samples / 2 > 1:
        warnings.warn(
            f"FKEA: {float(rke):.1f} effective samples of {fake.num_samples}: the kernel finds hardly two alike, and "
            "the value tells of their number or of the frequencies. Remedy: a larger sigma, or more samples.",
            BiasWarning,
            stacklevel=3,
        )
