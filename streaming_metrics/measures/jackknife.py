"""Jackknife over blocks: standard errors of measures that add up.

F. M. T. A. Busing, E. Meijer, R. van der Leeden, "Delete-m jackknife for unequal m", Statistics and Computing 1999.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, NotEnoughSamples, Scalar, Sides
from streaming_metrics.measures.error_scalars import AT_THIS_N, error_of
from streaming_metrics.statistics.blocks import Blocks
from streaming_metrics.verdicts.intervals import share_error, student_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.images.conversion import Takes
    from streaming_metrics.measures.base import Prepared, Results, Side
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Bank, Statistic

GENERATED = "fake"
"""The role whose samples are random; all others are taken as given."""
OPTIONS: dict[str, Any] = {"se": bool, "blocks": int, "cluster": int}
"""What a measure that has no error of its own takes beside its parameters, with their types."""


@dataclass(frozen=True)
class Jackknife(Measure):
    """Jackknife of a measure that adds up: its values, and their standard errors as ``<key>_se``.

    Generated samples are dealt to B blocks by the hash of their ids, each block has a state of its own, and with
    θ_(j) the value without block j of m_j samples, of n in all, and ``h_j = n / m_j``:
    ``se² = 1/B·Σ_j (θ̃_j − θ̄)² / (h_j − 1)``, ``θ̃_j = h_j·θ − (h_j − 1)·θ_(j)``, ``θ̄ = Σ_j θ̃_j / h_j``. The other
    sides are taken as given. It is NaN where fewer than 2 blocks have samples, or the measure is not defined of
    what is left. 20 blocks know it to within 16 %, so what is told is ``se·t / 1.96``, 1.07 of it, with Student's t of
    B − 1 degrees of freedom: an interval of ±1.96 is then one of ±t. It takes B states in place of one.

    Keys, titles, network, group and name are those of the measure: ``am_score(se=True)``, which is what names it on
    the command line too.

    Args:
        measure: one that names scalars in ``jackknifed``.
        blocks: B.
        cluster: how many consecutive ids depend on each other, and stay in one block.

    Raises:
        ValueError: for a measure that names no such scalars, or keeps features of generated samples.

    Example:
        >>> from streaming_metrics.measures import SharpnessDifference
        >>> measure = Jackknife(SharpnessDifference())
        >>> measure.describe(), measure.keys[:2]
        ('sharpness_difference(se=True)', ('sharpness_difference', 'sharpness_difference_se'))
    """

    measure: Measure
    blocks: int = 20
    cluster: int = 1

    def __post_init__(self) -> None:
        check_integer("Jackknife blocks", self.blocks, least=2)
        check_integer("Jackknife cluster", self.cluster, least=1)
        inner = self.measure
        if not inner.jackknifed:
            raise ValueError(
                f"Jackknife: expected a measure that names scalars in `jackknifed`, got {inner.describe()}. Remedy: "
                "with_errors, which gives each measure the error that there is of it."
            )
        names = ("label", "column", "network", "takes", "group", "paper", "jackknifed")
        shown = {name: getattr(inner, name) for name in names}
        for name, value in {**shown, "on": self.on or inner.on, "measure": replace(inner, on=None)}.items():
            object.__setattr__(self, name, value)

    @property
    def fixed(self) -> Role | None:
        return self.measure.fixed

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return _beside(self.measure.scalars, self.jackknifed)

    def describe(self) -> str:
        own = {"se": True, "blocks": self.blocks, "cluster": self.cluster}
        added = [f"{name}={value}" for name, value in own.items() if name == "se" or value != getattr(Jackknife, name)]
        label, _, given = self.measure.describe().partition("(")
        return f"{label}({','.join(filter(None, [given.removesuffix(')'), *added]))})"

    def check_network(self, name: str, takes: Takes) -> None:
        self.measure.check_network(name, takes)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        kept = dict(self.measure.statistics(spec))
        return kept | {GENERATED: tuple(self._in_blocks(statistic) for statistic in kept[GENERATED])}

    def _in_blocks(self, statistic: Statistic) -> Statistic:
        """Return a statistic in blocks; as it is where rows are kept until a side is frozen."""
        if statistic.is_sharded and self.measure.fixed is not None:
            return statistic
        return Blocks(statistic, self.blocks, self.cluster)

    def bank(self, spec: Spec) -> Bank | None:
        return self.measure.bank(spec)

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:
        return self.measure.reductions(spec)

    def check(self, sides: Sides) -> None:
        self.measure.check(sides)

    def prepares(self, spec: Spec) -> Prepared:
        return self.measure.prepares(spec)

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        return self.measure.prepare(spec, side)

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        self.measure.check_prepared(prepared, num_samples)

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> Jackknife:
        bound = self.measure.bind(spec, side, prepared)
        return self if bound is self.measure else replace(self, measure=bound)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:
        whole = self.unblocked(sides)
        values = self.measure.compute(whole, prepared, results)
        uncut = values | self.measure.uncut(whole, prepared, results)
        fake, blocks = sides.fake, self._blocks(sides.spec)
        sizes, left = [], []
        for parts in zip(*(block.left_out(fake[block]) for block in blocks)):
            sizes.append(parts[0][0])
            states = {block.statistic: state for block, (_, state) in zip(blocks, parts)}
            rest = replace(fake, num_samples=fake.num_samples - sizes[-1], states=states, kept={})
            left.append(self._left(_seen(sides, rest), prepared, results))
        found: dict[str, Tensor] = {}
        for scalar in self.measure.scalars:
            key = scalar.key
            found[key] = values[key]
            if key in self.jackknifed:
                error = jackknife_error(uncut[key], [one.get(key) for one in left], sizes)
                if scalar.kind == "share" and (value := float(values[key])) in (0, 1):  # blocks may not move it
                    error = error.clamp(min=share_error(value, fake.num_samples))
                found[f"{key}_se"] = error * student_error(1.0, max(len(sizes) - 1, 1))
        return found

    def unblocked(self, sides: Sides) -> Sides:
        """Return sides as the measure itself sees them."""
        fake = sides.fake
        whole = {block.statistic: block.whole(fake[block]) for block in self._blocks(sides.spec)}
        return _seen(sides, replace(fake, states={**fake.states, **whole}))

    def _blocks(self, spec: Spec) -> list[Blocks]:
        return [Blocks(s, self.blocks, self.cluster) for s in self.measure.statistics(spec)[GENERATED]]

    def _left(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:
        """Return the values without a block; none where the measure is not defined there."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of all samples it has been told
            try:
                self.measure.check(sides)
                values = self.measure.compute(sides, prepared, results)
                return values | self.measure.uncut(sides, prepared, results)
            except NotEnoughSamples:
                return {}


def with_jackknifed(cls: type[Measure]) -> tuple[Scalar, ...]:
    """Return what any instance of a measure may yield, alone or in a :class:`Jackknife`."""
    return _beside(cls.known_scalars(), cls.jackknifed)


def _beside(scalars: Iterable[Scalar], jackknifed: Collection[str]) -> tuple[Scalar, ...]:
    """Return scalars, each followed by its error where a jackknife yields one."""
    pairs = ((scalar, error_of(scalar, AT_THIS_N)) for scalar in scalars)
    return tuple(one for pair in pairs for one in (pair if pair[0].key in jackknifed else pair[:1]))


def _seen(sides: Sides, fake: Side) -> Sides:
    return Sides({**sides.by_role, GENERATED: fake}, sides.spec)


def jackknife_error(value: Tensor, left: Sequence[Tensor | None], sizes: Sequence[int]) -> Tensor:
    """Return the delete-m jackknife's standard error, float64 ``()``; NaN of fewer than 2 blocks.

    Args:
        value: of all samples.
        left: without each block; None where it is not defined.
        sizes: of the blocks.

    Example:
        >>> x = torch.tensor([1.0, 2.0, 4.0, 9.0], dtype=torch.float64)  # of a mean, of blocks of one
        >>> left = [torch.cat([x[:i], x[i + 1 :]]).mean() for i in range(4)]
        >>> torch.allclose(jackknife_error(x.mean(), left, [1] * 4), x.std() / 2)
        True
    """
    known = [one for one in left if one is not None]
    if len(known) < max(2, len(left)):
        return torch.full_like(value, torch.nan)
    share = sum(sizes) / torch.tensor(sizes, dtype=torch.float64, device=value.device)
    pseudo = share * value - (share - 1) * torch.stack(known)
    return ((pseudo - (pseudo / share).sum()).square() / (share - 1)).mean().sqrt()
