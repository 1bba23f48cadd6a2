"""Contributions to the Fréchet distance: what each image adds to it, and each class or prompt.

The influence ψ of a sample is the first derivative of the distance by its weight. ``(ψ − mean ψ) / N`` is by how much
the distance would be lower without it, to first order. Of a class, ψ of its generated samples is held against ψ of the
real samples of that class: ψ itself is fitted to these samples, and differs between classes even where nothing is
wrong, but it then does so on both sides alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

from streaming_metrics.measures.extremes import highest
from streaming_metrics.verdicts.group_means import GroupMeans
from streaming_metrics.verdicts.shrunken_means import ShrunkenMeans

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from streaming_metrics.measures.frechet_errors import Coupling, Moved
    from streaming_metrics.measures.gaussian import Gaussian
    from streaming_metrics.measures.kept_rows import KeptRows

Kind: TypeAlias = Literal["class", "caption", "prompt"]
CHUNK = 4096
LEAST = 5
"""Samples of a class on either side; classes with fewer are left out."""
HIGHEST, LOWEST = 12, 4
"""Groups to look at, of many."""
EXAMPLES = 3
"""Generated samples to look at in a group."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """Contributions of one side's samples to the Fréchet distance, on the CPU, the same on every rank.

    Args:
        index: ids ``(n,)`` int64, ascending: of all samples, or of those whose features are kept.
        values: ``(n,)`` float64: by how much the distance would be lower without each, to first order.
        num_samples: N, of how many the distance is.
    """

    index: Tensor
    values: Tensor
    num_samples: int

    def highest(self, n: int, among: Tensor | None = None) -> Tensor:
        """Return the places of the n samples that raise the distance most, of the ids ``among`` if given."""
        return self._ranked(self.values, n, among)

    def lowest(self, n: int, among: Tensor | None = None) -> Tensor:
        """Return the places of the n samples that lower the distance most, of the ids ``among`` if given."""
        return self._ranked(-self.values, n, among)

    def _ranked(self, score: Tensor, n: int, among: Tensor | None) -> Tensor:
        places = torch.arange(len(self.index))
        if among is not None:
            places = places[torch.isin(self.index, among)]
        return places[score[places].argsort(descending=True, stable=True)][:n]


@dataclass(frozen=True, eq=False)
class GroupContributions:
    """Contributions of groups of generated samples: classes, captions, or prompts.

    Args:
        kind: of what.
        table: of each group the mean of ψ, less that of its real samples where ``against_real``.
        shares: ``(G,)`` float64, of each among the generated samples.
        against_real: whether real samples of the same groups are kept. If so, ``share · value`` is by how much the
            distance would fall, to first order, were the group's images replaced by real ones of the group. If not,
            values rank what is seen, and their intervals hold the noise of the group's own samples alone.
        examples: ``(S, k)`` int64, ids of the generated samples with the highest ψ in each of :attr:`shown`; none in a
            table without them.
        left_out: groups with too few samples.
    """

    kind: Kind
    table: ShrunkenMeans
    shares: Tensor
    against_real: bool
    examples: Tensor
    left_out: int

    @property
    def amounts(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """What each group adds to the distance, and the ends of its interval, ``(G,)`` each; against no real samples,
        the mean of ψ.
        """
        factor = self.shares.numpy() if self.against_real else np.ones(len(self.shares))
        return self.table.values * factor, self.table.low * factor, self.table.high * factor

    @property
    def order(self) -> Tensor:
        """Places of the groups, that which adds most to the distance first, int64 ``(G,)``."""
        return torch.from_numpy(np.argsort(-self.amounts[0], kind="stable"))

    @property
    def shown(self) -> Tensor:
        """Places of the groups to look at, int64 ``(S,)``: those that add most, then those that add least."""
        order = self.order
        return order if len(order) <= HIGHEST + LOWEST else torch.cat([order[:HIGHEST], order[-LOWEST:]])


@dataclass(frozen=True, eq=False)
class Explained:
    """What samples of both sides contribute to the Fréchet distance.

    Args:
        distance: Fréchet distance.
        fake, real: contributions of each sample; None where no features of that side are kept.
        groups: of the generated samples; None where they have no labels, captions or prompts.
    """

    distance: float
    fake: Contributions | None
    real: Contributions | None
    groups: GroupContributions | None


def explained(
    coupling: Coupling, real: KeptRows | None, fake: KeptRows | None, among: Tensor | None = None
) -> Explained:
    """Return what samples contribute; collective."""
    groups = of_fake = of_real = None
    if fake is not None:
        psi = _influence(fake, coupling.of_fake)
        of_fake, groups = _contributions(fake, psi, coupling.y), group_contributions(coupling, real, fake, psi, among)
    if real is not None:
        of_real = _contributions(real, _influence(real, coupling.of_real), coupling.x)
    return Explained(float(coupling.distance), of_fake, of_real, groups)


def group_contributions(
    coupling: Coupling, real: KeptRows | None, fake: KeptRows, psi: Tensor, among: Tensor | None = None
) -> GroupContributions | None:
    """Return what groups contribute; None where there are not two of enough samples; collective.

    Args:
        coupling: of both sides.
        real, fake: features that are kept of them; groups are classes where generated samples have labels, else
            captions, else prompts, where ids say which samples are of one.
        psi: influence of this rank's generated samples.
        among: ids of the generated samples that may be shown; None for all.
    """
    kind, column = _groups_of(fake)
    if kind is None or column is None:
        return None
    values, groups = fake.gathered(psi).numpy(), fake.gathered(column).numpy()
    clusters = fake.gathered(fake.clusters).numpy() if kind == "class" and fake.cluster > 1 else None
    least = LEAST if kind == "class" else 2
    raw = GroupMeans.of(values, groups, clusters, least)
    of_real = None if real is None else {"class": real.labels, "caption": real.captions, "prompt": None}[kind]
    if real is not None and of_real is not None:
        seen = real.gathered(_influence(real, coupling.of_fake)).numpy()
        raw = raw.minus(GroupMeans.of(seen, real.gathered(of_real).numpy(), None, least))
    if len(raw.groups) < 2:
        return None
    known, counts = np.unique(groups, return_counts=True)
    shares = counts[np.searchsorted(known, raw.groups)] / len(groups)
    left_out = len(known) - len(raw.groups)
    table = ShrunkenMeans.of(raw), torch.from_numpy(shares), of_real is not None
    found = GroupContributions(kind, *table, torch.empty(0, 0, dtype=torch.int64), left_out)
    wanted = torch.from_numpy(raw.groups)[found.shown]
    return replace(found, examples=_examples(fake, psi, column, wanted, among))


def _groups_of(kept: KeptRows) -> tuple[Kind | None, Tensor | None]:
    if kept.labels is not None:
        return "class", kept.labels
    if kept.captions is not None:
        return "caption", kept.captions
    return ("prompt", kept.clusters) if kept.cluster > 1 else (None, None)


def _influence(kept: KeptRows, of: Callable[[Tensor], Moved]) -> Tensor:
    """Return ψ ``(n,)`` of this rank's rows, some thousand at a time."""
    return torch.cat([of(rows).influence for rows in kept.rows.split(CHUNK)])


def _contributions(kept: KeptRows, psi: Tensor, side: Gaussian) -> Contributions:
    values = kept.gathered(psi)
    return Contributions(kept.gathered(kept.index), (values - values.mean()) / side.num_samples, side.num_samples)


def _examples(kept: KeptRows, psi: Tensor, column: Tensor, groups: Tensor, among: Tensor | None) -> Tensor:
    """Return the ids of the samples with the highest ψ in each of the groups; collective."""
    groups = groups.to(column.device)
    scores = torch.where(column[:, None] == groups, psi[:, None], -torch.inf)
    return highest(scores, kept.index, EXAMPLES, kept.comm, among)
