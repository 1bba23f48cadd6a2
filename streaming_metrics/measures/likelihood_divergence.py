"""Feature likelihood divergence (FLD): how likely held-out samples are around generated ones.

M. Jiralerspong, A. J. Bose, I. Gemp, C. Qin, Y. Bachrach, G. Gidel, "Feature likelihood divergence: evaluating the
generalization of generative models using samples", NeurIPS 2023.
Parity target: the authors' code (``fld``), whose draws are unseeded: those here follow from the ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.error_scalars import error_of
from streaming_metrics.measures.influence import error_of_mean
from streaming_metrics.measures.mixtures import Mixture
from streaming_metrics.statistics import Bank
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

HUNDRED = 100
"""What nats a dimension are multiplied by."""


@dataclass(frozen=True)
class FLD(Measure):
    """Feature likelihood divergence: nats by which held-out samples are less likely around generated ones than around
    real ones.

    ``100·(ℓ_gen − ℓ_base)``, ℓ the mean over held-out samples of ``−log p(x) / D``. p is a mixture of Gaussians around
    the generated samples, each of its own width, fitted so that training samples are likely; ℓ_base is that of a
    mixture around half of the training samples, fitted to the other half. Features are scaled first, so that held-out
    ones have mean 0 and variance 1; one that is constant there keeps its scale. Range (−∞, ∞), lower is better; 0 for
    samples as good as training ones, roughly up to 100. Copies of training samples get all but no width, so that
    held-out ones are unlikely: beyond 1000 most are copies. ``fld_gap`` (``gap=True``) is ``100·(ℓ_gen of training
    samples − ℓ_gen)``: the farther below 0, the more the model has copied.

    Needs the roles ``train`` and ``heldout``, samples that were not trained on: ``update(features, role="heldout")``;
    real samples are not read. The paper's figures are of DINOv2 features and 10,000 generated samples; others do not
    compare. All is computed in float64 on every rank, in time and 8 bytes of memory for each pair of training sample
    and centre: on one core of a CPU, about a minute and a half for 10,000 of each.

    Args:
        centres: the most generated samples, which depend on the ids alone.
        most: the most training and held-out samples, likewise; None takes all, as the paper.
        gap: report ``fld_gap`` too.
        se: report ``fld_se`` too, the error of a mean over held-out samples, given the others.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 training or held-out samples, or without generated ones.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([FLD()], extractor=None, num_features=2)
        >>> rows = torch.randn(240, 2, generator=torch.Generator().manual_seed(0))
        >>> for role, some in zip(("train", "heldout", "fake"), rows.split(80)):
        ...     metric.update(some + 2.0 * (role == "fake"), role=role)
        >>> metric.compute()["fld_features"] > 20
        tensor(True)
    """

    centres: int = 10_000
    most: int | None = None
    gap: bool = False
    se: bool = field(default=False, kw_only=True)

    label: ClassVar[str] = "fld"
    group: ClassVar[str] = "density"
    paper: ClassVar[str] = "Jiralerspong et al., NeurIPS 2023"

    def __post_init__(self) -> None:
        check_integer("FLD centres", self.centres, least=1)
        check_integer("FLD most", self.most, least=2, optional=True)
        for name in ("gap", "se"):
            check_flag(f"FLD {name}", getattr(self, name))

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        title = "Feature likelihood divergence"
        fld, gap = Scalar("fld", title, "lower"), Scalar("fld_gap", "Generalization gap of FLD", family=title)
        error = error_of(fld, "value over held-out samples, given the training and generated ones")
        return (fld, *((gap,) if self.gap else ()), *((error,) if self.se else ()))

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(gap=True, se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        known = (self._bank(spec),)
        return {"train": known, "heldout": known, "fake": (self._generated(spec),)}

    def check(self, sides: Sides) -> None:
        for role in ("train", "heldout"):
            sides[role].require(2, "FLD", f'update(…, role="{role}") with more of them before compute()')
        sides.fake.require(1, "FLD")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        bank = self._bank(sides.spec)
        train, heldout = (_shuffled(sides[role], bank) for role in ("train", "heldout"))
        fake = _shuffled(sides.fake, self._generated(sides.spec))
        mean, std = heldout.mean(0), heldout.std(0)
        train, heldout, fake = ((rows - mean) / std.where(std > 0, 1.0) for rows in (train, heldout, fake))
        mixture, size = Mixture.fitted(fake, train), min(len(fake), len(train) // 2)
        # Known for as long as both sides stay as they are: what one remembers is the key of what the other does.
        of_train = sides["train"].once(("fld", self), object)
        base = sides["heldout"].once((of_train, size), lambda: _baseline(train, heldout, size))
        losses = -mixture.log_likelihoods(heldout) / heldout.shape[1]
        apart = HUNDRED * (losses - base)
        values = {"fld": apart.mean(), "fld_se": error_of_mean(apart)}
        if self.gap:
            of_train_itself = -mixture.log_likelihoods(train).mean() / heldout.shape[1]
            values["fld_gap"] = HUNDRED * (of_train_itself - losses.mean())
        return {key: values[key] for key in self.keys}

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "FLD"), capacity=self.most)

    def _generated(self, spec: Spec) -> Bank:
        return Bank(width(spec, "FLD"), capacity=self.centres)


def _shuffled(side: Side, bank: Bank) -> Tensor:
    """Return a side's rows, float64, in the order of their hashed ids, which is a random one; collective."""
    state = side.gather(bank)
    return state["rows"][hashed(state["index"]).argsort(stable=True)].double()


def _baseline(train: Tensor, heldout: Tensor, size: int) -> Tensor:
    """Return the losses ``(n,)`` of held-out samples by a mixture around ``size`` training samples."""
    return -Mixture.fitted(train[:size], train[size:]).log_likelihoods(heldout) / heldout.shape[1]
