"""Birthday paradox: the size of a generator's support, from how many pairs of its samples are duplicates.

S. Arora, Y. Zhang, "Do GANs actually learn the distribution? An empirical study", 2017.
Parity target: the paper's s² / (2·ln 2) where no pair is found, and the inverse of the share of pairs where some are.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import inf, log
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from scipy.special import gammaincinv
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.pairwise.closest import squared_matrix
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

FAMILY = "Support size (birthday paradox)"


@dataclass(frozen=True)
class BirthdayParadox(Measure):
    """Birthday paradox: how many different samples a generator makes, told by the duplicates among s of them.

    Two generated samples are duplicates where their features are no further apart than a threshold: ``threshold``, or
    by default the quantile ``quantile`` of the distances of real samples to their nearest other one. With d duplicate
    pairs among s samples:

    - ``birthday_support``: ``s(s − 1) / 2d``, the inverse of the probability that two samples are duplicates; it is the
      size of a support whose members are equally likely, and the number of such members that would repeat as often
      where they are not. Without a duplicate, ``s(s − 1) / (2·ln 2)``: the paper's size, of which s samples show one
      with probability ½. Range [1, s²/(2·ln 2)], higher is more diverse.
    - ``birthday_support_low``, ``birthday_support_high``: its interval at ``level``. Duplicates are counted as Poisson
      events, but of a count that is smaller by how much they cluster (one sample that repeats often makes many pairs):
      the variance of the share of pairs is that of a U-statistic. Without a duplicate, the upper end is infinite.
    - ``birthday_duplicates``: d.

    Real samples themselves are apart by less than the default threshold in a share ``quantile`` of s: they score about
    ``¾·s / quantile`` at most, so support beyond that cannot be told, and s must be large enough: about the square root
    of the support. Compare equal s. What counts as a duplicate is up to the features; the paper lets people look at the
    closest pairs: :meth:`~streaming_metrics.GenerativeMetrics.closest_pairs`.

    Of each side ``most`` rows are kept, which depend on the ids alone; with ``threshold``, no real side is needed.

    Args:
        most: s, rows of each side.
        quantile: share of real samples that have another one within the threshold, in (0, 1].
        threshold: a distance of features, instead of ``quantile``; 0 counts equal features alone.
        level: of the interval, in (0, 1).

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples on a side.

    Warns:
        BiasWarning: by ``quantile``, with fewer than half as many real rows as generated ones: the support is then too
            small by as much; where the real side repeats itself so often that equal features alone are duplicates.

    Example:
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([BirthdayParadox(threshold=0.1)], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [3.0], [0.05], [9.0]]), real=False)
        >>> [round(value.item(), 2) for value in metric.compute().values()]
        [6.0, 1.08, 236.99, 1.0]
    """

    most: int = 1000
    quantile: float = 0.01
    threshold: float | None = None
    level: float = 0.95

    label: ClassVar[str] = "birthday"
    group: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Arora and Zhang, 2017"

    def __post_init__(self) -> None:
        check_integer("BirthdayParadox most", self.most, least=2)
        check_real("BirthdayParadox quantile", self.quantile, above=0)
        check_real("BirthdayParadox level", self.level, above=0)
        if self.threshold is not None:
            check_real("BirthdayParadox threshold", self.threshold, least=0)
        if self.quantile > 1 or self.level >= 1:
            raise ValueError(
                f"BirthdayParadox: expected a quantile of at most 1 and a level below 1, got {self.quantile} and "
                f"{self.level}. Remedy: quantile=0.01, level=0.95."
            )

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("birthday_support", "Support size", "higher", family=FAMILY),
            Scalar("birthday_support_low", "Support size, lower end", family=FAMILY),
            Scalar("birthday_support_high", "Support size, upper end", family=FAMILY),
            Scalar("birthday_duplicates", "Pairs of duplicates"),
        )

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self._bank(spec),)
        return {"real": bank, "fake": bank} if self.threshold is None else {"fake": bank}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake) if self.threshold is None else (sides.fake,):
            side.require(2, "BirthdayParadox")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        bank = self._bank(sides.spec)
        threshold = self._squared_threshold(sides, bank)
        found = Duplicates.of(squared_matrix(sides.fake.rows(bank)) <= threshold)
        low, high = found.interval(self.level)
        values = (found.support, low, high, found.pairs)
        return dict(zip(self.keys, torch.tensor(values, dtype=torch.float64, device=threshold.device)))

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "BirthdayParadox"), capacity=self.most)

    def _squared_threshold(self, sides: Sides, bank: Bank) -> Tensor:
        if self.threshold is not None:
            return torch.tensor(self.threshold, dtype=torch.float64, device=sides.fake[bank]["rows"].device).square()
        rows = sides.real.rows(bank)
        key = "nearest distance", bank, self.quantile
        threshold = sides.real.once(key, lambda: nearest_quantile(squared_matrix(rows), self.quantile))
        real, fake = (min(side.num_samples, self.most) for side in (sides.real, sides.fake))
        if 2 * real < fake:
            _warn(
                f"{real} real samples for {fake} generated ones: the fewer, the further apart they are, and the more "
                "generated ones count as duplicates",
                "as many real samples as generated ones, or a threshold of your own",
            )
        if threshold == 0:
            _warn(
                f"a share {self.quantile:g} of the real samples has another one that equals it, so that no others "
                "count as duplicates among generated samples either",
                "a real side without repeats, a larger quantile, or a threshold of your own",
            )
        return threshold


class Duplicates(NamedTuple):
    """Duplicates among samples.

    Args:
        num_samples: s.
        pairs: d, pairs of duplicates.
        shared: pairs of duplicates that have a sample in common.
    """

    num_samples: int
    pairs: int
    shared: int

    @classmethod
    def of(cls, equal: Tensor) -> Duplicates:
        """Return those of a symmetric bool ``(s, s)`` that says which samples equal each other, and themselves."""
        upper = equal.triu(1)
        others = upper.sum(0) + upper.sum(1)
        return cls(len(equal), int(others.sum()) // 2, int((others * (others - 1)).sum()) // 2)

    @property
    def support(self) -> float:
        """Size of a support of equally likely members that would show as many duplicates."""
        all_pairs = self.num_samples * (self.num_samples - 1) / 2
        return all_pairs / (self.pairs or log(2))

    @property
    def events(self) -> float:
        """Number of independent events that vary, relative to their number, as much as these pairs do.

        With q the share of pairs and t that of triples of one kind, the U-statistic q has the variance
        ``(2(s − 2)·(t − q²) + q − q²)·2 / (s(s − 1))``.
        """
        s, q = self.num_samples, 1 / self.support
        if not self.pairs or s < 3:
            return float(self.pairs)
        triples = self.shared / (s * (s - 1) * (s - 2) / 2)
        clustering = 2 * (s - 2) * max(triples - q * q, 0.0) / q
        return self.pairs / (1 + clustering)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of :attr:`support`, at least 1: Garwood's of :attr:`events` Poisson events, scaled."""
        events = self.events
        per_event = (self.pairs / events if events else 1) / (self.num_samples * (self.num_samples - 1) / 2)
        most = gammaincinv(events + 1, (1 + level) / 2) * per_event
        least = gammaincinv(events, (1 - level) / 2) * per_event if events else 0.0
        return max(1.0, 1 / most), max(1.0, 1 / least) if least else inf


def nearest_quantile(squared: Tensor, quantile: float) -> Tensor:
    """Return the quantile of the rows' squared distances to their nearest other row, float64 ``()``; of two, the lower.

    Example:
        >>> nearest_quantile(squared_matrix(torch.tensor([[0.0], [1.0], [3.0], [9.0]])), 0.5)
        tensor(1., dtype=torch.float64)
    """
    nearest = squared.clone().fill_diagonal_(torch.inf).amin(1)
    return nearest.sort().values[max(0, -int(-quantile * len(nearest) // 1) - 1)]


def _warn(what: str, remedy: str) -> None:
    warnings.warn(f"BirthdayParadox: {what}. Remedy: {remedy}.", BiasWarning, stacklevel=4)
