"""KEN: kernel-entropy novelty, how much generated samples show that the real ones do not, and in how many modes.

J. Zhang, C. T. Li, F. Farnia, "An interpretable evaluation of entropy-based novelty of generative models", ICML 2024;
by random Fourier features, J. Zhang, M. Jalali, C. T. Li, F. Farnia, "Unveiling differences in generative models: a
scalable differential clustering approach", CVPR 2025. Parity target: the authors' ``KEN_by_eigendecomposition``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.error_scalars import AT_THIS_N, error_of
from streaming_metrics.measures.gaussian import square_root
from streaming_metrics.measures.influence import drawn_of, influence_of
from streaming_metrics.measures.kept_rows import kept_rows
from streaming_metrics.measures.novel_modes import Embedded, NovelModes, novel_modes_of
from streaming_metrics.measures.vendi import warn_of_no_rows
from streaming_metrics.pairwise.all_pairs import all_pairs
from streaming_metrics.statistics import Bank, FourierMoment, Reservoir
from streaming_metrics.statistics.eigenvectors import symmetric_eigenvectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

ROUNDING = 1e-13
"""Eigenvalues, of sides whose sum is 1, that rounding alone makes."""
KEYS = "ken", "ken_sum", "ken_entropy"


@dataclass(frozen=True)
class KEN(Measure):
    """Kernel-entropy novelty: how much generated samples show that the real ones do not, and in how many modes.

    λ are the positive eigenvalues of ``C_generated − η·C_real``, kernel covariances of trace 1 of the Gaussian kernel
    ``exp(−‖x − y‖² / 2σ²)``: each belongs to a mode that is more than η times as frequent among generated samples.

    - ``ken_sum``: ``S = Σ λ``, how frequent novel samples are. Range [0, 1].
    - ``ken_entropy``: ``−Σ λ/S·log λ/S``, nats: over how many modes they are spread, ``exp`` of it. Range [0, ∞).
    - ``ken``: the product of both, the authors' KEN score.

    Novelty is neither good nor bad: of a reference of another kind it is creativity, of the training distribution what
    a generator makes up. Two samples of one distribution are not at 0, but at a share that falls as they grow: compare
    equal numbers. ``metric.inspector().novel_modes()`` gives the modes, with the samples to look at.

    By default kernels are taken by random Fourier features (see :class:`~streaming_metrics.statistics.FourierMoment`):
    of each side (2r)² numbers are kept, 512 MB at r = 4000, 32 MB at 1000, shared with ``FKEA`` of the same parameters.
    With ``frequencies=None`` they are exact, over ``most`` samples of each side, which depend on their ids alone and
    whose features are kept; that takes four matrices of 2·``most`` squared, 3.2 GB for 5000, and their cubes in time.

    Args:
        eta: η, the novelty threshold, at least 0.
        sigma: σ, in units of the features; 20 is the authors' for DINOv2, and no value serves all networks.
        frequencies: r; None for exact kernels.
        seed: of the frequencies.
        most: with exact kernels, the most samples of each side.
        se: report standard errors too, by the delta method: of ``Σ_k s_k·(u_kᵀφ_i)²`` with u_k the eigenvectors and
            ``s_k`` the scalar's derivative by λ_k, ``log S/λ_k`` for ``ken``; of ``reservoir`` generated samples that
            are kept, or of all with exact kernels. The real side is taken as given.
        cluster: how many consecutive ids depend on each other, as images of one prompt do.
        reservoir: how many.

    Raises:
        NotEnoughSamples: at compute, without samples on a side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([KEN(sigma=1.0, frequencies=None)], extractor=None, num_features=1)
        >>> metric.update(torch.linspace(0, 0.01, 30).view(30, 1), real=True)
        >>> modes = torch.tensor([[0.0], [50.0], [99.0]])  # one that real samples have, two that are novel
        >>> metric.update(modes.repeat(10, 1) + torch.linspace(0, 0.01, 30).view(30, 1), real=False)
        >>> [round(value.item(), 3) for value in metric.compute().values()]  # 2/3·log 2, 2/3, log 2
        [0.462, 0.667, 0.693]
    """

    eta: float = 1.0
    sigma: float = 20.0
    frequencies: int | None = 4000
    seed: int = 0
    most: int = 5000
    se: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)
    reservoir: int = field(default=2000, kw_only=True)

    label: ClassVar[str] = "ken"
    group: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Zhang et al., ICML 2024"

    def __post_init__(self) -> None:
        check_real("KEN eta", self.eta, least=0)
        check_real("KEN sigma", self.sigma, above=0)
        for name in ("eta", "sigma"):
            object.__setattr__(self, name, float(getattr(self, name)))
        check_integer("KEN frequencies", self.frequencies, least=1, optional=True)
        check_integer("KEN seed", self.seed, least=0, most=2**32 - 1)
        check_integer("KEN most", self.most, least=1)
        check_flag("KEN se", self.se)
        check_integer("KEN cluster", self.cluster, least=1)
        check_integer("KEN reservoir", self.reservoir, least=2)
        if self.cluster != 1 and not self.se:
            raise ValueError("KEN cluster is of its standard errors. Remedy: se=True.")

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        titles = ("Kernel-entropy novelty", "Frequency of novel samples", "Entropy of novel modes")
        told = [Scalar(key, title, kind="positive") for key, title in zip(KEYS, titles)]
        return tuple(one for scalar in told for one in (scalar, *([error_of(scalar, AT_THIS_N)] * self.se)))

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        if self.frequencies is None:
            return dict.fromkeys(("real", "fake"), (self._bank(spec),))
        kept = (self._kept(spec),) if self.se else ()
        return {"real": (self._moment(spec),), "fake": (self._moment(spec), *kept)}

    def check(self, sides: Sides) -> None:
        sides.real.require(1, "KEN")
        sides.fake.require(1, "KEN")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        difference, embedded = self._compared(sides)
        if not self.se:
            return _scores(_novel(torch.linalg.eigvalsh(difference)))
        values, vectors = symmetric_eigenvectors(difference)
        found, errors = _scores(_novel(values)), self._errors(sides, values, vectors, embedded)
        return {k: v for key in KEYS for k, v in ((key, found[key]), (f"{key}_se", errors[key]))}

    def novel_modes(self, sides: Sides, n: int = 6, among: Tensor | None = None) -> NovelModes:
        """Return the n most frequent of the novel modes, with the ids of the samples to look at; collective.

        Args:
            sides: of the network that it reads, as ``metric.inspector().sides()`` gives them.
            n: how many, at least 1.
            among: ids of the generated samples that may be shown; None for all.
        """
        check_integer("novel_modes n", n, least=1)
        (difference, embedded), comm = self._compared(sides), sides.fake.comm
        values, vectors = symmetric_eigenvectors(difference)
        share = self._embedded_rows(sides) if embedded is None else embedded.share(comm)
        return novel_modes_of(values, vectors, share, comm, ROUNDING, n, among)

    def _compared(self, sides: Sides) -> tuple[Tensor, Embedded | None]:
        """Return ``C_generated − η·C_real``, and with exact kernels the generated samples where it is."""
        if self.frequencies is None:
            return self._exact(sides)
        moment = self._moment(sides.spec)
        real, fake = (moment.mean(side[moment]) for side in (sides.real, sides.fake))
        return fake - self.eta * real, None

    def _exact(self, sides: Sides) -> tuple[Tensor, Embedded]:
        """Return the difference in the span of the samples, whose places there are the rows of the kernel's root."""
        bank = self._bank(sides.spec)
        fake, real = (side.gather(bank) for side in (sides.fake, sides.real))
        rows = torch.cat([fake["rows"], real["rows"]])
        kernel = (all_pairs(rows, rows).squared.double() / (-2 * self.sigma**2)).exp()
        root = square_root((kernel + kernel.T) / 2, len(kernel))
        places = torch.empty_like(root.factor)
        places[root.order] = root.factor
        of_fake, of_real = places.split([len(fake["rows"]), len(real["rows"])])
        difference = of_fake.T @ of_fake / len(of_fake) - self.eta / len(of_real) * of_real.T @ of_real
        return difference, Embedded(of_fake, fake["index"])

    def _errors(self, sides: Sides, values: Tensor, vectors: Tensor, embedded: Embedded | None) -> dict[str, Tensor]:
        if embedded is None and (embedded := self._drawn(sides)) is None:
            return {key: torch.full_like(values[0], torch.nan) for key in KEYS}
        is_novel = values > ROUNDING
        squares = (embedded.places @ vectors[:, is_novel]).square_()
        of_scores = {key: squares @ slopes for key, slopes in _slopes(values[is_novel]).items()}
        each = {key: influence_of(embedded.ids, one, self.cluster) for key, one in of_scores.items()}
        told = {key: replace(one, num_samples=sides.fake.num_samples).error for key, one in each.items()}
        return {key: values.new_tensor(error) for key, error in told.items()}

    def _drawn(self, sides: Sides) -> Embedded | None:
        """Return the samples of the reservoir; None, with a warning, where it is not of all samples."""
        if (drawn := drawn_of(sides.fake, self._kept(sides.spec))) is None:
            warn_of_no_rows("KEN")
            return None
        return Embedded(self._moment(sides.spec).embedded(drawn.rows), drawn.index)

    def _embedded_rows(self, sides: Sides) -> Embedded | None:
        """Return this rank's share of the samples whose features are kept; None where none are; collective."""
        if (kept := kept_rows(sides.fake, width(sides.spec, "KEN"))) is None:
            return None
        return Embedded(self._moment(sides.spec).embedded(kept.rows), kept.index)

    def _moment(self, spec: Spec) -> FourierMoment:
        assert self.frequencies is not None
        return FourierMoment(width(spec, "KEN"), self.frequencies, self.sigma, self.seed)

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "KEN"), capacity=self.most)

    def _kept(self, spec: Spec) -> Reservoir:
        capacity = max(self.reservoir // self.cluster, 2) * self.cluster
        return Reservoir(width(spec, "KEN"), capacity, cluster=self.cluster)


def _novel(values: Tensor) -> Tensor:
    return values[values > ROUNDING]


def _scores(novel: Tensor) -> dict[str, Tensor]:
    """Return the scalars of positive eigenvalues ``(K,)``; all 0 of none."""
    total = novel.sum()
    score = (novel * (total / novel).log()).sum()
    return {"ken": score, "ken_sum": total, "ken_entropy": score / total if len(novel) else total}


def _slopes(novel: Tensor) -> dict[str, Tensor]:
    """Return the derivatives ``(K,)`` of the scalars by positive eigenvalues."""
    total, scores = novel.sum(), _scores(novel)
    of_score = (total / novel).log()
    slopes = (of_score, torch.ones_like(novel), (of_score - scores["ken_entropy"]) / total)
    return dict(zip(KEYS, slopes))
