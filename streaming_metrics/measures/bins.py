"""Number of statistically different bins (NDB), on features.

E. Richardson, Y. Weiss, "On GANs and GMMs", NeurIPS 2018. The paper bins raw pixels; bins of an extractor's features
are a variant of it, so its figures are not comparable. Parity target: the authors' test of proportions, and their
Jensen-Shannon divergence, given the bins.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.special import ndtri
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.inception_score import entropy
from streaming_metrics.statistics import Bank, BinCounts, FixedRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

FEW = 10
"""Samples a bin, on average, below which the normal approximation of a count is poor."""
ITERATIONS = 30


@dataclass(frozen=True)
class NDB(Measure):
    """NDB: share of bins that receive significantly more, or fewer, generated samples than real ones; our variant, on
    features.

    Bins are the cells of k-means centres of the real features. A bin with shares p (of n real) and q (of m generated
    samples) is different where ``|p − q| / sqrt(s(1 − s)(1/n + 1/m)) > z``, s their pooled share and z the two-sided
    quantile of ``alpha``; one that is empty on both sides is not. ``ndb``: share of different bins, range [0, 1], about
    ``alpha`` for equal distributions. ``ndb_js``: Jensen-Shannon divergence of the two vectors of shares, nats, range
    [0, log 2]. Lower is better for both.

    k-means (k-means++ starts, Lloyd's steps in float64, a centre without samples stays where it is) sees ``most`` real
    samples, which depend on their ids alone, in the order of ids: given ids, bins are the same for any batches, order
    and ranks. Every sample is then counted. Once the real side is frozen, generated samples leave ``bins`` counts.

    Args:
        bins: number of centres.
        alpha: level of each bin's test.
        most: the most real samples that centres are made of.
        seed: of the starts.

    Raises:
        NotEnoughSamples: at compute, with fewer real samples than bins, or no generated one.

    Warns:
        BiasWarning: with fewer than 10 samples a bin on a side, where few differences can be significant; where
            real features repeat so much that bins stay empty.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([NDB(bins=2)], extractor=None, num_features=1)
        >>> near, far = torch.arange(20.0).view(20, 1), torch.arange(100.0, 120.0).view(20, 1)
        >>> metric.update(torch.cat([near, far]), real=True)
        >>> metric.update(torch.cat([near, near + 0.5]), real=False)
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'ndb_features': 1.0, 'ndb_js_features': 0.216}
    """

    bins: int = 100
    alpha: float = 0.05
    most: int = 10_000
    seed: int = 0
    _centres: FixedRows | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "ndb"
    group: ClassVar[str] = "two-sample tests"
    paper: ClassVar[str] = "Richardson and Weiss, NeurIPS 2018"
    jackknifed: ClassVar[tuple[str, ...]] = ("ndb_js",)

    def __post_init__(self) -> None:
        check_integer("NDB bins", self.bins, least=2)
        check_real("NDB alpha", self.alpha, above=0)
        if self.alpha >= 1:
            raise ValueError(f"NDB alpha: expected a level below 1, got {self.alpha}.")
        check_integer("NDB most", self.most, least=self.bins)
        check_integer("NDB seed", self.seed, least=0, most=2**32 - 1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("ndb", "Statistically different bins", "lower"),
            Scalar("ndb_js", "Jensen-Shannon divergence of bins", "lower", kind="positive"),
        )

    @property
    def fixed(self) -> Role | None:
        return "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self._bank(spec)
        return {"real": (bank,), "fake": (self._counts(spec) if self._is_bound else bank,)}

    def check(self, sides: Sides) -> None:
        sides.real.require(self.bins, f"NDB(bins={self.bins})", "more samples, or fewer `bins`")
        sides.fake.require(1, "NDB")

    def prepares(self, spec: Spec) -> Prepared:
        return {"centres": torch.empty(0, width(spec, "NDB")), "counts": torch.empty(0, dtype=torch.int64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        bank = self._bank(spec)
        side.require(self.bins, f"NDB(bins={self.bins})", "more samples, or fewer `bins`")
        centres = centres_of(side, bank, self.bins, self.most, self.seed)
        place = FixedRows(centres).nearest(side[bank]["rows"])[1]
        return {"centres": centres, "counts": side.comm.sum(torch.bincount(place, minlength=self.bins))}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        counts = prepared["counts"]
        lengths = {len(tensor) for tensor in prepared.values()}
        if lengths != {self.bins} or (counts < 0).any() or counts.sum() != num_samples:
            raise ValueError(
                f"expected centres of {self.bins} bins and counts of {num_samples} samples in them, got "
                f"{sorted(lengths)} bins with {counts.tolist()}."
            )

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> NDB:  # noqa: ARG002
        if side is None:
            return replace(self, _is_bound=True)
        return replace(self, _is_bound=True, _centres=FixedRows(prepared["centres"]))

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        statistic = self._counts(sides.spec)
        fake = sides.fake[statistic]["counts"].double()
        real = prepared["counts"].to(fake)
        self._warn_of_bins(real, sides)
        different = two_proportions(real, fake) > float(ndtri(1 - self.alpha / 2))
        return {"ndb": different.double().mean(), "ndb_js": jensen_shannon(real / real.sum(), fake / fake.sum())}

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "NDB"))

    def _counts(self, spec: Spec) -> BinCounts:
        return BinCounts(width(spec, "NDB"), self.bins, self.most, self.seed, self._centres)

    def _warn_of_bins(self, real: Tensor, sides: Sides) -> None:
        empty = int((real == 0).sum())
        if empty:
            _warn(f"{empty} of {self.bins} bins hold no real sample: features repeat", "check the extractor")
        for side in (sides.real, sides.fake):
            if side.num_samples < FEW * self.bins:
                what = f"{side.num_samples} {side.role} samples in {self.bins} bins: few differences are significant"
                _warn(what, f"{FEW * self.bins} samples or more a side, or fewer `bins`")


def centres_of(side: Side, bank: Bank, bins: int, most: int, seed: int) -> Tensor:
    """Return k-means centres ``(bins, D)`` float32 of ``most`` rows of a side, the same on every rank; collective."""
    rows = side.rows(bank, most)
    key = "centres", bank, bins, most, seed  # of a side too large to bind, once for all computes
    found = side.once(key, lambda: cluster_centres(rows.cpu().double().numpy(), bins, seed))
    return side.comm.broadcast(torch.from_numpy(found).to(rows))  # BLAS may differ between hosts


def cluster_centres(rows: np.ndarray, bins: int, seed: int) -> np.ndarray:
    """Return the k-means centres of rows ``(n, D)`` float64: ``(bins, D)`` float64."""
    mean = rows.mean(0)
    centred = rows - mean  # squares far from the origin would round small distances away
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        return mean + kmeans2(centred, _spread_starts(centred, bins, seed), iter=ITERATIONS, minit="matrix")[0]


def _spread_starts(rows: np.ndarray, bins: int, seed: int) -> np.ndarray:
    """Return rows to start from (k-means++): each next one drawn by its squared distance to those before it."""
    random, norms = np.random.RandomState(seed), np.square(rows).sum(1)
    chosen, nearest = [random.randint(len(rows))], np.full(len(rows), np.inf)
    while len(chosen) < bins:
        last = rows[chosen[-1]]
        nearest = np.minimum(nearest, np.maximum(norms - 2 * rows @ last + last @ last, 0))
        reach = nearest.cumsum()
        chosen.append(min(int(reach.searchsorted(random.uniform() * reach[-1], "right")), len(rows) - 1))
    return rows[chosen]


def two_proportions(x: Tensor, y: Tensor) -> Tensor:
    """Return ``|z|`` of the pooled test of two proportions for each bin, 0 where a bin holds nothing, or all.

    Args:
        x, y: ``(bins,)`` float64, counts.

    Example:
        >>> two_proportions(torch.tensor([30.0, 70.0, 0.0]), torch.tensor([50.0, 50.0, 0.0]))
        tensor([2.8868, 2.8868, 0.0000])
    """
    n, m = x.sum(), y.sum()
    pooled = (x + y) / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    return torch.where(error > 0, (x / n - y / m).abs() / error, 0)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of two distributions ``(bins,)``, nats, in [0, log 2]."""
    return (entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2).clamp(min=0)


def _warn(what: str, remedy: str) -> None:
    warnings.warn(f"NDB: {what}. Remedy: {remedy}.", BiasWarning, stacklevel=4)
