"""RKE: Rényi kernel entropy, the number of modes that generated samples are of.

M. Jalali, C. T. Li, F. Farnia, "An information-theoretic evaluation of generative models in learning multi-modal
distributions", NeurIPS 2023. Parity target: the authors' RKE-MC, and ``vendi_score.score_dual`` with q = 2 for cosines.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.error_scalars import error_of
from streaming_metrics.measures.influence import drawn_of, ids_of, influence_of
from streaming_metrics.measures.vendi import check_directions, warn_of_no_rows
from streaming_metrics.pairwise import KernelSums, RBFKernel
from streaming_metrics.statistics import Bank, FourierMoment, Reservoir, SecondMoment
from streaming_metrics.statistics.second_moment import normalized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Statistic

KERNELS = {"cosine": "cosine", "gaussian": "Gaussian kernel", "fourier": "random Fourier features"}
SIGMA, FREQUENCIES = 20.0, 4000


class Order2(NamedTuple):
    """What order 2 is of: the mean of k² over all pairs ``()``; of some samples, the mean of k² with all, and ids."""

    mean: Tensor
    each: Tensor | None = None
    ids: Tensor | None = None


@dataclass(frozen=True)
class RKE(Measure):
    """Rényi kernel entropy, order 2: the effective number of modes of generated samples, ``1 / mean_ij k(x_i, x_j)²``.

    ``kernel`` is one of

    - ``"cosine"``: ``x_iᵀx_j / ‖x_i‖‖x_j‖``, exact from D² numbers: ``1 / ‖XᵀX/n‖²_F``, which is ``Vendi(q=2)``.
    - ``"gaussian"``: ``exp(−‖x_i − x_j‖² / 2σ²)``, the paper's, exact, of features that are kept: D numbers a sample.
    - ``"fourier"``: nearly that, by random Fourier features, from (2r)² numbers: 512 MB at r = 4000; order 2 of
      :class:`~streaming_metrics.FKEA`, whose state it shares.

    Range [1, n], higher is more diverse; compare equal n. Needs no real samples.

    Args:
        kernel: which.
        sigma: σ, in units of the features; 20 is the authors' for DINOv2, and no value serves all networks.
        frequencies: r.
        seed: of the frequencies.
        se: report ``rke_se`` too, by the delta method: ``2·RKE²·std_i(mean_j k(x_i, x_j)²) / √n``, over ``reservoir``
            samples that are kept, or with ``"gaussian"`` over all. It is of the value at this N.
        cluster: how many consecutive ids depend on each other, as images of one prompt do.
        reservoir: how many.

    Raises:
        NotEnoughSamples: at compute, without samples, or with ``"cosine"`` where all rows are zero.

    Warns:
        BiasWarning: with ``"cosine"`` where some rows are zero: they have no direction, and are left out.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([RKE(), RKE("gaussian", sigma=0.1)], extractor=None, num_features=2)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 3.0], [4.0, 0.0]]), real=False)
        >>> [round(value.item(), 6) for value in metric.compute().values()]  # two directions, four places
        [2.0, 4.0]
    """

    kernel: str = "cosine"
    sigma: float = SIGMA
    frequencies: int = FREQUENCIES
    seed: int = 0
    se: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)
    reservoir: int = field(default=2000, kw_only=True)

    label: ClassVar[str] = "rke"
    group: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Jalali et al., NeurIPS 2023"

    def __post_init__(self) -> None:
        lookup(KERNELS, self.kernel, "kernel of RKE")
        check_real("RKE sigma", self.sigma, above=0)
        object.__setattr__(self, "sigma", float(self.sigma))
        check_integer("RKE frequencies", self.frequencies, least=1)
        check_integer("RKE seed", self.seed, least=0, most=2**32 - 1)
        check_flag("RKE se", self.se)
        check_integer("RKE cluster", self.cluster, least=1)
        check_integer("RKE reservoir", self.reservoir, least=2)
        if self.cluster != 1 and not self.se:
            raise ValueError("RKE cluster is of its standard error. Remedy: se=True.")
        if self.kernel == "cosine" and self.sigma != SIGMA:
            raise ValueError(
                f"RKE sigma={self.sigma:g}: expected a kernel with a width, got 'cosine'. Remedy: 'gaussian'."
            )

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        score = Scalar("rke", f"RKE mode count, {KERNELS[self.kernel]}", "higher", "RKE mode count", kind="positive")
        return (score, error_of(score, "value at this N")) if self.se else (score,)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        if self.kernel == "gaussian":
            return {"fake": (Bank(width(spec, "RKE")),)}
        moment = self._fourier(spec) if self.kernel == "fourier" else SecondMoment(width(spec, "RKE"))
        return {"fake": (moment, *((self._kept(spec),) if self.se else ()))}

    def bank(self, spec: Spec) -> Bank | None:
        return Bank(width(spec, "RKE")) if self.kernel == "gaussian" else None

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        return (self._sums,) if self.kernel == "gaussian" else ()

    def check(self, sides: Sides) -> None:
        sides.fake.require(1, "RKE")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        of_kernel = {"cosine": self._cosine, "fourier": self._of_frequencies}
        if self.kernel == "gaussian":
            found = self._gaussian(sides, results[self._sums])
        else:
            found = of_kernel[self.kernel](sides)
        value = 1 / found.mean
        return {"rke": value, "rke_se": self._error(value, found, sides)} if self.se else {"rke": value}

    def _cosine(self, sides: Sides) -> Order2:
        fake, moment = sides.fake, SecondMoment(width(sides.spec, "RKE"))
        n = moment.directions(fake[moment])
        check_directions(n, fake.num_samples, "RKE")
        mean = moment.sums(fake[moment]) / n
        rows, ids = self._drawn(sides)
        return self._order_2(mean, None if rows is None else normalized(rows.double()), ids)

    def _of_frequencies(self, sides: Sides) -> Order2:
        moment = self._fourier(sides.spec)
        rows, ids = self._drawn(sides)
        return self._order_2(moment.mean(sides.fake[moment]), None if rows is None else moment.embedded(rows), ids)

    def _gaussian(self, sides: Sides, sums: Tensor) -> Order2:
        each = (sums + 1) / len(sums)  # a sample with itself is 1
        return Order2(each.mean(), each, ids_of(sides.fake, Bank(width(sides.spec, "RKE"))) if self.se else None)

    def _order_2(self, mean: Tensor, places: Tensor | None, ids: Tensor | None) -> Order2:
        each = None if places is None else ((places @ mean) * places).sum(1)
        return Order2(mean.square().sum(), each, ids)

    def _drawn(self, sides: Sides) -> tuple[Tensor | None, Tensor | None]:
        """Return rows of the reservoir and their ids, without those of zeros, which the cosine leaves out."""
        if not self.se:
            return None, None
        if (drawn := drawn_of(sides.fake, self._kept(sides.spec))) is None:
            warn_of_no_rows("RKE")
            return None, None
        taken = drawn.rows.any(1) | (self.kernel != "cosine")
        return drawn.rows[taken], drawn.index[taken]

    def _error(self, value: Tensor, found: Order2, sides: Sides) -> Tensor:
        if found.each is None or found.ids is None:
            return torch.full_like(value, torch.nan)
        influence = influence_of(found.ids, found.each, self.cluster)
        return 2 * value.square() * replace(influence, num_samples=sides.fake.num_samples).error

    @property
    def _sums(self) -> KernelSums:
        """Of k², a Gaussian kernel whose width is less by √2."""
        return KernelSums("fake", "fake", RBFKernel((self.sigma / sqrt(2),)))

    def _fourier(self, spec: Spec) -> FourierMoment:
        return FourierMoment(width(spec, "RKE"), self.frequencies, self.sigma, self.seed)

    def _kept(self, spec: Spec) -> Reservoir:
        capacity = max(self.reservoir // self.cluster, 2) * self.cluster
        return Reservoir(width(spec, "RKE"), capacity, cluster=self.cluster)
