"""Intra-FID: Fréchet distance within each class.

T. Miyato, M. Koyama, "cGANs with projection discriminator", ICLR 2018. Parity target: pytorch-fid's distance, class by
class.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer, check_real
from streaming_metrics.features import Features
from streaming_metrics.measures.base import BiasWarning, Measure, NotEnoughSamples, Scalar, Side, width
from streaming_metrics.measures.gaussian import Gaussian, frechet_distance
from streaming_metrics.statistics import Bank, Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

TOLD = 10
"""Classes that an error names, of those it is about."""


@dataclass(frozen=True)
class IntraFID(Measure):
    """Intra-FID: Fréchet distance between real and generated samples of one class, mean over classes.

    ``mean_c FID({x_i : label c}, {y_j : label c})``, each with its own means and unbiased covariances. Range [0, ∞),
    lower is better. ``intra_fid`` for the reference Inception, else ``intra_fd_<tag>``; with ``per_class``, also
    ``intra_fid_0``, ….

    Both sides need ``labels``, int64 ``(N,)`` in [0, classes): ``update(features, labels=…)``. Features are kept with
    their labels, spread over ranks, since moments of each class would be 34 MB a class at 2048 features; a class at a
    time is then gathered.

    A class has few samples, often fewer than features: its value is then biased upwards, the more so the fewer they
    are, and can be compared at equal numbers a class only. By default nothing is done about it, as nobody who publishes
    the measure does. ``shrinkage=s`` replaces each covariance by ``(1 − s)·Σ + s·(tr Σ / D)·1``, which lowers that bias
    (not that of the means) and makes it another measure: the signature says so.

    Args:
        classes: their number.
        per_class: report each class too.
        shrinkage: s in [0, 1].

    Raises:
        NotEnoughSamples: at compute, naming the classes with fewer than 2 samples on a side.

    Warns:
        BiasWarning: where classes have no more samples than features.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([IntraFID(classes=2)], extractor=None, num_features=1)
        >>> labels = torch.tensor([0, 0, 0, 1, 1, 1])
        >>> real = torch.tensor([[0.0], [2.0], [4.0], [7.0], [8.0], [9.0]])
        >>> metric.update(Features(real, labels=labels), real=True)
        >>> metric.update(Features(real + 3, labels=labels), real=False)
        >>> metric.compute()
        {'intra_fd_features': tensor(9., dtype=torch.float64)}
    """

    classes: int
    per_class: bool = False
    shrinkage: float = 0.0

    label: ClassVar[str] = "intra_fid"
    group: ClassVar[str] = "labels"
    paper: ClassVar[str] = "Miyato and Koyama, ICLR 2018"

    def __post_init__(self) -> None:
        check_integer("IntraFID classes", self.classes, least=1)
        check_flag("IntraFID per_class", self.per_class)
        check_real("IntraFID shrinkage", self.shrinkage, least=0)
        if self.shrinkage > 1:
            raise ValueError(f"IntraFID shrinkage: expected a share, at most 1, got {self.shrinkage}.")

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        mean = Scalar("intra_fid", "Fréchet distance within classes", "lower", elsewhere="intra_fd")
        each = (
            Scalar(f"intra_fid_{c}", f"Fréchet distance of class {c}", "lower", mean.title, elsewhere=f"intra_fd_{c}")
            for c in range(self.classes)
        )
        return (mean, *each) if self.per_class else (mean,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(classes=1).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self._bank(spec),)
        return {"real": bank, "fake": bank}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(2 * self.classes, f"IntraFID(classes={self.classes})", "2 samples or more of each class")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        bank = self._bank(sides.spec)
        pair = sides.real, sides.fake
        self._check_classes(pair, bank)
        each = [self._distance(*(class_rows(side, bank, c) for side in pair)) for c in range(self.classes)]
        return dict(zip(self.keys, (torch.stack(each).mean(), *each)))

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "IntraFID"), labels=self.classes)

    def _check_classes(self, sides: Sequence[Side], bank: Bank) -> None:
        for side in sides:
            counts = side.comm.sum(torch.bincount(side[bank]["labels"], minlength=self.classes))
            short = (counts < 2).nonzero().flatten().tolist()
            if short:
                named = ", ".join(map(str, short[:TOLD])) + (", …" if len(short) > TOLD else "")
                raise NotEnoughSamples(
                    f"IntraFID needs at least 2 {side.role} samples of each class, got fewer of {len(short)} of "
                    f"{self.classes}: {named}. Remedy: update() with samples of these, or fewer `classes`."
                )
            _warn_if_few(counts, side.role, bank.num_features)

    def _distance(self, x: Tensor, y: Tensor) -> Tensor:
        if self.shrinkage or 2 * min(len(x), len(y)) > x.shape[1]:  # from about there on, moments cost less
            return frechet_distance(*(fitted(rows, self.shrinkage) for rows in (x, y)))
        return frechet_distance_of_few(x, y)


def class_rows(side: Side, bank: Bank, label: int) -> Tensor:
    """Return the rows of one class ``(n, D)``, in the order of ids, the same on every rank; collective."""
    state = side[bank]
    chosen = state["labels"] == label
    shard = {key: column[chosen] for key, column in state.items()}
    return Side(side.role, side.num_samples, {bank: shard}, side.comm).rows(bank)


def fitted(rows: Tensor, shrinkage: float) -> Gaussian:
    """Return the Gaussian fitted to ``rows (n, D)``, its covariance Σ replaced by ``(1 − s)·Σ + s·(tr Σ / D)·1``."""
    moments = Moments(rows.shape[1])
    state = moments.update(moments.empty(rows.device), Features(rows))
    if not shrinkage:
        return Gaussian(moments, state, len(rows))
    scatter = moments.scatter(state)
    level = scatter.diagonal().mean()
    scatter.mul_(1 - shrinkage).diagonal().add_(shrinkage * level)
    return Gaussian(moments, state, max(len(rows), rows.shape[1] + 1))  # of full rank, however few the rows


def frechet_distance_of_few(x: Tensor, y: Tensor) -> Tensor:
    """Return the Fréchet distance of rows ``(n, D)`` and ``(m, D)``, float64 ``()``, without a ``(D, D)`` covariance.

    With X and Y the centred rows over √(n − 1) and √(m − 1), ``tr (ΣxΣy)^½ = tr (XᵀX·YᵀY)^½`` is the sum of the
    singular values of ``X·Yᵀ``, which is ``(n, m)``.
    """
    x, y = x.double(), y.double()
    apart = (x.mean(0) - y.mean(0)).square().sum()
    x, y = ((rows - rows.mean(0)) / (len(rows) - 1) ** 0.5 for rows in (x, y))
    shared = torch.linalg.svdvals(x @ y.T).sum()
    return apart + (x.square().sum() + y.square().sum() - 2 * shared).clamp(min=0)


def _warn_if_few(counts: Tensor, role: Role, num_features: int) -> None:
    few = int((counts <= num_features).sum())
    if few:
        warnings.warn(
            f"IntraFID: {few} of {len(counts)} classes have no more than {num_features} {role} samples, as many as "
            f"features, the fewest {int(counts.min())}: their values are biased upwards. Remedy: more samples a class, "
            "or compare at equal numbers a class only.",
            BiasWarning,
            stacklevel=4,
        )
