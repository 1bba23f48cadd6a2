"""Modes: which modes of the real side a generator leaves out, and how tightly it fills the others.

A. Srivastava, L. Valkov, C. Russell, M. U. Gutmann, C. Sutton, "VEEGAN: Reducing mode collapse in GANs using implicit
variational learning", NeurIPS 2017, which counts the modes with a generated sample. Parity target: that count, and
SciPy's tests and divergences, given the modes; modes of an extractor's features are a variant of it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.bins import FEW, centres_of, jensen_shannon
from streaming_metrics.measures.mode_table import ModeTable
from streaming_metrics.statistics import Bank, FixedRows, ModeSums
from streaming_metrics.statistics.bank import bank_features

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class Modes(Measure):
    """Modes of the real side: how many of them generated samples leave out, and how tightly they fill the others.

    Modes are the cells of k-means centres of the real features, or, with ``classes``, labels, each with the mean of its
    real features as centre. Real samples have shares p_m of them, generated ones q_m. Four scalars:

    - ``modes_missing``: share of the modes with p_m > 0 that have q_m = 0. Range [0, 1], lower is better.
    - ``modes_fewer``: share of them whose q_m is significantly below p_m, by the pooled two-sided test of two
      proportions at level ``alpha``. Range [0, 1], lower is better; about ``alpha / 2`` for equal distributions.
    - ``modes_js``: Jensen-Shannon divergence of p and q, nats. Range [0, log 2], lower is better.
    - ``modes_distance``: mean distance of generated samples to their mode's centre, over that of as many real ones of
      the same modes. Range [0, ∞], 1 where they are alike: below, modes are collapsed; above, samples lie off them;
      ∞ where no generated sample has a label of real ones.
      Centres are fitted to the real samples: with n of them a mode, fresh real samples are at about 1 + 1/n.

    ``GenerativeMetrics.modes()`` gives the table that these are of, mode by mode, and ``plots.modes`` draws it. Centres
    are made of ``most`` real samples, which depend on their ids alone, as :class:`~streaming_metrics.NDB`'s are; those
    of labels of all. Once the real side is frozen, generated samples leave a count and a sum a mode.

    Args:
        modes: number of k-means centres.
        classes: number of labels, which then are the modes: both sides need ``labels`` in [0, classes).
        alpha: level of tests and intervals.
        most: the most real samples that k-means sees.
        seed: of its starts.

    Raises:
        NotEnoughSamples: at compute, with fewer real samples than k-means centres, or no sample on a side.

    Warns:
        BiasWarning: with fewer than 10 samples a mode on a side: modes are then missed by chance; where modes hold no
            real sample, since real features repeat or labels are not used: they are left out.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([Modes(modes=2)], extractor=None, num_features=1)
        >>> near, far = torch.arange(20.0).view(20, 1), torch.arange(100.0, 120.0).view(20, 1)
        >>> metric.update(torch.cat([near, far]), real=True)
        >>> metric.update(torch.linspace(4.75, 14.25, 20).view(20, 1), real=False)
        >>> {key.removesuffix("_features"): round(value.item(), 3) for key, value in metric.compute().items()}
        {'modes_missing': 0.5, 'modes_fewer': 0.5, 'modes_js': 0.216, 'modes_distance': 0.5}
    """

    modes: int = 20
    classes: int | None = None
    alpha: float = 0.05
    most: int = 10_000
    seed: int = 0
    _centres: FixedRows | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "modes"
    group: ClassVar[str] = "diversity"
    paper: ClassVar[str] = "Srivastava et al., NeurIPS 2017"
    jackknifed: ClassVar[tuple[str, ...]] = ("modes_js", "modes_distance")

    def __post_init__(self) -> None:
        check_integer("Modes modes", self.modes, least=2)
        check_integer("Modes classes", self.classes, least=2, optional=True)
        check_real("Modes alpha", self.alpha, above=0)
        if self.alpha >= 1:
            raise ValueError(f"Modes alpha: expected a level below 1, got {self.alpha}.")
        check_integer("Modes most", self.most, least=self.modes)
        check_integer("Modes seed", self.seed, least=0, most=2**32 - 1)

    @property
    def count(self) -> int:
        """The number of modes."""
        return self.classes or self.modes

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("modes_missing", "Modes without samples", "lower", "Modes left out"),
            Scalar("modes_fewer", "Modes with fewer samples", "lower", "Modes left out"),
            Scalar("modes_js", "Jensen-Shannon divergence of modes", "lower", kind="positive"),
            Scalar("modes_distance", "Distance to modes, generated over real", kind="positive"),
        )

    @property
    def fixed(self) -> Role | None:
        return "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self.rows(spec)
        return {"real": (bank,), "fake": (self.sums(spec) if self._is_bound else bank,)}

    def rows(self, spec: Spec) -> Bank:
        """Return the bank of the real side, and of the generated one while that is not frozen."""
        return Bank(width(spec, "Modes"), labels=self.classes)

    def sums(self, spec: Spec) -> ModeSums:
        """Return what is kept of generated samples once the real side is frozen."""
        num_features, is_labelled = width(spec, "Modes"), self.classes is not None
        return ModeSums(num_features, self.count, self.most, self.seed, is_labelled, self._centres)

    def check(self, sides: Sides) -> None:
        self._require_real(sides.real)
        sides.fake.require(1, "Modes")

    def prepares(self, spec: Spec) -> Prepared:
        return {
            "centres": torch.empty(0, width(spec, "Modes")),
            "counts": torch.empty(0, dtype=torch.int64),
            "distances": torch.empty(0, dtype=torch.float64),
        }

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        self._require_real(side)
        bank = self.rows(spec)
        centres = class_means(side, bank) if self.classes else centres_of(side, bank, self.modes, self.most, self.seed)
        sums = replace(self.sums(spec), centres=FixedRows(centres))
        streamed = reduce(sums.update, bank_features(bank, side[bank]), sums.empty(centres.device))
        return {"centres": centres, **sums.all_reduce(streamed, side.comm)}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        counts, lengths = prepared["counts"], {len(tensor) for tensor in prepared.values()}
        sums = {key: prepared[key] for key in ("counts", "distances")}
        if (
            lengths != {self.count}
            or any((tensor < 0).any() for tensor in sums.values())
            or counts.sum() != num_samples
        ):
            raise ValueError(
                f"expected centres of {self.count} modes, and counts and distances of {num_samples} samples in them, "
                f"got {sorted(lengths)} modes with {counts.tolist()}."
            )

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> Modes:  # noqa: ARG002
        if side is None:
            return replace(self, _is_bound=True)
        return replace(self, _is_bound=True, _centres=FixedRows(prepared["centres"]))

    def table(self, sides: Sides, prepared: Prepared) -> ModeTable:
        """Return what :meth:`compute` sums up, mode by mode, of the measure as it is bound."""
        fake = sides.fake[self.sums(sides.spec)]
        (real, real_distances), (fakes, fake_distances) = (
            (side["counts"], side["distances"]) for side in (prepared, fake)
        )
        is_labelled = self.classes is not None
        return ModeTable.of(real, fakes, real_distances, fake_distances, self.alpha, is_labelled=is_labelled)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        table = self.table(sides, prepared)
        self._warn(table, sides)
        values = (
            table.is_missing[table.is_mode].double().mean(),
            table.is_fewer[table.is_mode].double().mean(),
            jensen_shannon(table.real_share, table.fake_share),
            torch.tensor(table.distance_ratio, dtype=torch.float64),
        )
        return {key: value.to(prepared["counts"].device) for key, value in zip(self.keys, values)}

    def _require_real(self, side: Side) -> None:
        if self.classes:
            side.require(1, "Modes")
        else:
            side.require(self.modes, f"Modes(modes={self.modes})", "more samples, or fewer `modes`")

    def _warn(self, table: ModeTable, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            if side.num_samples < FEW * self.count:
                what = f"{side.num_samples} {side.role} samples in {self.count} modes: some are missed by chance"
                _warn(what, f"{FEW * self.count} samples or more a side, or fewer modes")
        if empty := int((~table.is_mode).sum()):
            what = "labels are not used" if self.classes else "features repeat"
            _warn(f"{empty} of {self.count} modes hold no real sample: {what}", "fewer modes")


def _warn(what: str, remedy: str) -> None:
    warnings.warn(f"Modes: {what}. Remedy: {remedy}.", BiasWarning, stacklevel=4)


def class_means(side: Side, bank: Bank) -> Tensor:
    """Return the mean row of each label ``(L, D)`` float32, the mean of all where a label has none; collective."""
    assert bank.labels
    rows = side[bank]["rows"]
    sums = rows.new_zeros(bank.labels, bank.num_features + 1, dtype=torch.float64)
    for features in bank_features(bank, side[bank]):
        ones = torch.ones(len(features), 1, dtype=torch.float64, device=rows.device)
        sums.index_add_(0, features.labels, torch.cat([features.pool.double(), ones], 1))  # pyright: ignore
    sums, counts = side.comm.sum(sums).tensor_split([bank.num_features], 1)
    overall = sums.sum(0) / counts.sum()
    return torch.where(counts > 0, sums / counts, overall).float()
