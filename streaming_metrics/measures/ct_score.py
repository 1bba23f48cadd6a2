"""CT score: a test of whether generated samples are nearer to training samples than held-out ones are.

C. Meehan, K. Chaudhuri, S. Dasgupta, "A non-parametric test to detect data-copying in generative models", AISTATS 2020.
Parity target: the authors' code and dgm-eval's, given the cells; theirs are seeded by nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import Measure, NotEnoughSamples, Scalar, width
from streaming_metrics.measures.bins import cluster_centres
from streaming_metrics.measures.mann_whitney import ranked, z_score
from streaming_metrics.measures.spread_rows import SpreadRows
from streaming_metrics.statistics import Bank, CellDistances, Cells, Projection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

FAMILY = "CT score"


@dataclass(frozen=True)
class CTScore(Measure):
    """CT score: whether generated samples are nearer to training samples than held-out samples are.

    The training samples' features, in their first 64 principal components where there are more, are parted into k-means
    cells. In a cell with n held-out and m generated samples, each at a distance L to the nearest training sample there,
    ``Z = (U − nm/2 + ½) / √(nm(n + m + 1)/12)``, ``U = #{L_generated > L_held-out}``, equal ones counted ½. ``ct`` is
    the mean of Z over cells with more than ``least`` generated samples, by their share of held-out samples. Range
    (−∞, ∞): about 0, with a deviation of at most 1, where there is no copying; below, generated samples are nearer than
    held-out ones (copying); above, they are farther (a poor fit). A poor fit elsewhere in a cell can hide copying.

    ``ct_mem``: training samples take the place of the generated ones, and the reverse: cells are of generated samples,
    and L of training and held-out samples is to the nearest generated one. ``ct_mode``: half of the held-out samples,
    drawn by hashes of ids, takes the place of the training ones: below 0, samples crowd where real ones are dense.

    Needs the roles ``train`` and ``heldout``: ``update(features, role="heldout")``; real samples are not read. Once the
    training side is frozen, a cell and a distance are kept of each generated sample, 16 bytes; with ``mem`` or ``mode``
    all features. Principal components and centres are made of ``most`` rows, which depend on their ids alone.

    Args:
        cells: number of cells.
        components: the most dimensions in which distances are measured.
        least: generated samples that a cell must have more of to count.
        most: the most rows that components and cells are made of.
        seed: of k-means.
        mem: report ``ct_mem`` too.
        mode: report ``ct_mode`` too.

    Raises:
        NotEnoughSamples: at compute, with fewer training samples than cells, where a cell holds no training or held-out
            sample, or none counts.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([CTScore(cells=1, least=1)], extractor=None, num_features=1)
        >>> train = torch.tensor([[0.0], [10.0], [20.0]])
        >>> metric.update(train, role="train")
        >>> metric.update(train + 2, role="heldout")
        >>> metric.update(torch.cat([train + 1, train - 1]), real=False)  # each is nearer than each held-out one
        >>> round(metric.compute()["ct_features"].item(), 3)
        -2.195
    """

    cells: int = 3
    components: int = 64
    least: int = 20
    most: int = 10_000
    seed: int = 0
    mem: bool = False
    mode: bool = False
    _cells: Cells | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "ct"
    group: ClassVar[str] = "copying"
    paper: ClassVar[str] = "Meehan et al., AISTATS 2020"

    def __post_init__(self) -> None:
        for name, least in {"cells": 1, "components": 1, "least": 0, "most": self.cells, "seed": 0}.items():
            check_integer(f"CTScore {name}", getattr(self, name), least, 2**32 - 1 if name == "seed" else None)
        for name in ("mem", "mode"):
            check_flag(f"CTScore {name}", getattr(self, name))

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        asked = {"ct": True, "ct_mem": self.mem, "ct_mode": self.mode}
        titles = {"ct": "CT score", "ct_mem": "CT score, sides exchanged", "ct_mode": "CT score, held-out halves"}
        return tuple(Scalar(key, titles[key], family=FAMILY) for key, is_asked in asked.items() if is_asked)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(mem=True, mode=True).scalars

    @property
    def fixed(self) -> Role | None:
        return None if self.mem or self.mode else "train"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self._bank(spec)
        return {"train": (bank,), "heldout": (bank,), "fake": (self._distances(spec) if self._is_bound else bank,)}

    def check(self, sides: Sides) -> None:
        how = 'update(…, role="{}") with more of them, or fewer `cells`'
        sides["train"].require(self.cells, f"CTScore(cells={self.cells})", how.format("train"))
        sides["heldout"].require(2 if self.mode else 1, "CTScore", how.format("heldout"))
        sides.fake.require(self.least + 1, f"CTScore(least={self.least})", "more of them, or a smaller `least`")

    def prepares(self, spec: Spec) -> Prepared:
        num_features = width(spec, "CTScore")
        centres = {"centres": torch.empty(0, min(num_features, self.components))}
        if num_features <= self.components:
            return centres
        return centres | {key: torch.empty(0, num_features, dtype=torch.float64) for key in ("axes", "mean")}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        side.require(self.cells, f"CTScore(cells={self.cells})", "more of them, or fewer `cells`")
        return self._fitted(side.rows(self._bank(spec), self.most))

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:  # noqa: ARG002
        lengths = {key: len(tensor) for key, tensor in prepared.items()}
        expected = {"centres": self.cells} | ({"axes": self.components, "mean": 1} if "axes" in lengths else {})
        if lengths != expected:
            raise ValueError(f"expected tensors of lengths {expected}, got {lengths}.")

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> CTScore:
        if side is None:
            return replace(self, _is_bound=True) if self.fixed else self
        return replace(self, _is_bound=True, _cells=_cells_of(side[self._bank(spec)]["rows"], prepared))

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        bank = self._bank(sides.spec)
        train, heldout, fake = (SpreadRows.of(sides[role], bank) for role in ("train", "heldout", "fake"))
        if self._cells is not None:
            streamed = sides.fake[self._distances(sides.spec)]["rows"]
            return {"ct": self._score(self._cells, heldout, streamed, sides.fake.comm)}
        values = {"ct": self._tested(train, heldout, fake)}
        if self.mem:
            values["ct_mem"] = self._tested(fake, heldout, train)
        if self.mode:
            values["ct_mode"] = self._tested(heldout.half(first=True), heldout.half(first=False), fake)
        return values

    def _tested(self, fixed: SpreadRows, heldout: SpreadRows, others: SpreadRows) -> Tensor:
        """Return the score of others against held-out samples, in cells of fixed ones; collective."""
        rows = fixed.whole()
        if len(rows) < self.cells:
            raise _too_few(f"{self.cells} samples to make cells of, got {len(rows)}")
        made = self._fitted(fixed.whole(self.most))
        cells = _cells_of(rows, {key: fixed.comm.broadcast(tensor.clone()) for key, tensor in made.items()})
        return self._score(cells, heldout, cells.distances(others.rows), others.comm)

    def _score(self, cells: Cells, heldout: SpreadRows, others: Tensor, comm: Comm) -> Tensor:
        """Return the mean of Z over cells; collective.

        Args:
            cells: of the samples that distances are taken to.
            heldout: the samples that these are compared with.
            others: ``(N, 2)``, cells and distances of this rank's.
            comm: the ranks that they are spread over.
        """
        tests = replace(heldout, rows=cells.distances(heldout.rows)).whole()
        tests = [tests[tests[:, 0] == cell, 1] for cell in range(self.cells)]
        counts = torch.stack([ranked(others[others[:, 0] == cell, 1], test) for cell, test in enumerate(tests)])
        m, doubled = comm.sum(counts).double().unbind(1)
        n = torch.tensor([len(test) for test in tests], dtype=torch.float64, device=m.device)
        if not (n > 0).all() or not (cells.counts > 0).all():
            sizes = f"{cells.counts.tolist()} and {n.long().tolist()}"
            raise _too_few(f"samples of both in every cell, got {sizes} training and held-out ones")
        kept = m > self.least
        if not kept.any():
            raise _too_few(f"more than {self.least} in a cell, got {m.long().tolist()}")
        return (n * z_score(doubled / 2, n, m))[kept].sum() / n[kept].sum()

    def _fitted(self, rows: Tensor) -> dict[str, Tensor]:
        """Return centres of the cells of ``rows (n, D)``, and the projection that they are made under."""
        if rows.shape[1] <= self.components:
            return {"centres": self._centres(rows)}
        projection = Projection.principal(rows, self.components)
        return {"centres": self._centres(projection.of(rows)), "axes": projection.axes, "mean": projection.mean}

    def _centres(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(cluster_centres(rows.cpu().double().numpy(), self.cells, self.seed)).to(rows)

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "CTScore"))

    def _distances(self, spec: Spec) -> CellDistances:
        name = f"{self.cells}_{self.components}_{self.most}_{self.seed}"
        return CellDistances(width(spec, "CTScore"), name, self._cells)


def _cells_of(rows: Tensor, prepared: Prepared) -> Cells:
    projection = Projection(prepared["axes"], prepared["mean"]) if "axes" in prepared else None
    return Cells(rows, prepared["centres"], projection)


def _too_few(what: str) -> NotEnoughSamples:
    return NotEnoughSamples(f"CTScore needs {what}. Remedy: more samples, or fewer `cells`.")
