"""Probing: linear probes trained and tested on the sides of a measure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.features import Features
from streaming_metrics.measures.base import NotEnoughSamples, Side
from streaming_metrics.measures.probes import FITS, ClassMoments, Fit, Kind
from streaming_metrics.statistics import Bank, ClassSums, LinearProbe, Moments
from streaming_metrics.statistics.linear_probe import best

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.statistics import Statistic

CHUNK = 4096
TOLD = 10
"""Classes that an error names, of those it is about."""


@dataclass(frozen=True)
class Probes:
    """Probes of one kind, trained and tested on sides that keep what they need.

    Args:
        num_features: D.
        classes: C.
        kind: of the probe.
        shrinkage: of its covariance.
    """

    num_features: int
    classes: int
    kind: Kind
    shrinkage: float

    @property
    def moments(self) -> Moments:
        return Moments(self.num_features)

    @property
    def sums(self) -> ClassSums:
        return ClassSums(self.num_features, self.classes)

    @property
    def bank(self) -> Bank:
        return Bank(self.num_features, labels=self.classes)

    @property
    def trains(self) -> tuple[Statistic, ...]:
        """What is kept of a side that probes are trained on."""
        return self.moments, self.sums

    @property
    def tests(self) -> tuple[Statistic, ...]:
        """What is kept of a side that probes are trained and tested on."""
        return *self.trains, self.bank

    def trained(self, side: Side) -> Fit:
        """Return the probe trained on a side, made once for all measures."""

        def train() -> Fit:
            return FITS[self.kind](ClassMoments.of(side, self.moments, self.sums), self.shrinkage)

        return side.once((self, "trained"), train)

    def accuracy(self, probe: LinearProbe, side: Side) -> Tensor:
        """Return the accuracy of a probe on a side, float64 ``()``; collective."""
        state = side[self.bank]
        hits = summed(lambda rows, labels: probe.predicted(rows) == labels, state["rows"], state["labels"])
        return side.comm.sum(hits) / side.num_samples

    def left_out_accuracy(self, side: Side) -> Tensor:
        """Return the accuracy on each of a side's samples of the probe trained on its others; collective."""
        hits = side.once((self, "hits"), lambda: self._left_out_hits(side))
        return side.comm.sum(hits.clone()) / side.num_samples

    def disagreement(self, probe: LinearProbe, side: Side) -> Tensor:
        """Return the share of a side's samples that a probe and :meth:`left_out_accuracy` do not agree on, which either
        of them has right; collective.
        """
        fit, state = self.trained(side), side[self.bank]
        apart = summed(
            lambda rows, labels, norms: (
                (probe.predicted(rows) == labels) != (best(fit.left_out(rows, labels, norms)) == labels)
            ),
            *(state["rows"], state["labels"], self.norms(side)),
        )
        return side.comm.sum(apart) / side.num_samples

    def norms(self, side: Side) -> Tensor:
        """Return the norms, to the probe trained on a side, of the rows of it that are here ``(n,)``."""
        fit, rows = self.trained(side), side[self.bank]["rows"]

        def make() -> Tensor:
            return torch.cat([fit.norms(chunk) for chunk in rows.split(CHUNK)])

        return side.once((self, "norms"), make)

    def _left_out_hits(self, side: Side) -> Tensor:
        fit, state = self.trained(side), side[self.bank]
        return summed(
            lambda rows, labels, norms: best(fit.left_out(rows, labels, norms)) == labels,
            *(state["rows"], state["labels"], self.norms(side)),
        )

    def subsample(self, side: Side, most: int) -> Side:
        """Return a side of ``most`` samples, which depend on the ids alone; collective."""
        bank = replace(self.bank, capacity=most)
        shard = bank.all_reduce(bank.merge([side[self.bank]]), side.comm)
        features = Features(shard["rows"], labels=shard["labels"])
        states = {
            statistic: statistic.all_reduce(
                statistic.update(statistic.empty(shard["rows"].device), features), side.comm
            )
            for statistic in self.trains
        }
        return Side(side.role, most, states | {self.bank: shard}, side.comm)

    def require_classes(self, side: Side, measure: str) -> None:
        """Raise NotEnoughSamples unless a side has 2 samples or more of each class."""
        short = (self.sums.counts(side[self.sums]) < 2).nonzero().flatten().tolist()
        if short:
            named = ", ".join(map(str, short[:TOLD])) + (", …" if len(short) > TOLD else "")
            raise NotEnoughSamples(
                f"{measure} needs at least 2 {side.role} samples of each class, got fewer of {len(short)} of "
                f"{self.classes}: {named}. Remedy: update() with samples of these, or fewer `classes`."
            )


def check_options(measure: str, classes: int, shrinkage: float, kind: str = "lda") -> None:
    """Raise unless these can be a measure's options."""
    check_integer(f"{measure} classes", classes, least=2)
    check_real(f"{measure} shrinkage", shrinkage, least=1e-3)
    if shrinkage > 1:
        raise ValueError(f"{measure} shrinkage: expected a share, at most 1, got {shrinkage}.")
    if kind not in get_args(Kind):
        raise ValueError(f"{measure} probe: expected one of {get_args(Kind)}, got {kind!r}. Remedy: probe='lda'.")


def summed(values: Callable[..., Tensor], *columns: Tensor) -> Tensor:
    """Return the sum, float64 ``()``, of a value ``(N,)`` of each row of columns, some thousand at a time.

    Example:
        >>> summed(lambda x, y: x == y, torch.tensor([1, 2, 3]), torch.tensor([1, 0, 3]))
        tensor(2., dtype=torch.float64)
    """
    total = torch.zeros((), dtype=torch.float64, device=columns[0].device)
    for chunk in zip(*(column.split(CHUNK) for column in columns)):
        total += values(*chunk).sum()
    return total
