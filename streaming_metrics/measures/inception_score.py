"""Inception Score.

T. Salimans et al., "Improved techniques for training GANs", NeurIPS 2016. Parity target: torch-fidelity.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.error_scalars import error_of
from streaming_metrics.measures.influence import drawn_of, influence_of
from streaming_metrics.statistics import Marginals
from streaming_metrics.statistics.marginals import Assignment
from streaming_metrics.statistics.predictions import ClusteredPredictions, PredictionMoments, divergences
from streaming_metrics.statistics.reservoir import Reservoir
from streaming_metrics.verdicts.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

ABOUT = "value at this N"
RESERVOIR = 2000


@dataclass(frozen=True)
class IS(Measure):
    """Inception Score: ``exp E KL(p(c | y) ‖ p̄(c))`` of generated samples y, mean and deviation over splits.

    Range [1, C], higher is better. Needs no real samples. The sums are additive: no logits are kept. The splits depend
    on the samples' index, see :class:`~streaming_metrics.statistics.Marginals`.

    Args:
        splits: S; each is scored by itself.
        assignment: ``"interleaved"``, ``"contiguous"`` or ``"shuffled"``; by default ``"shuffled"`` where
            ``num_samples`` is given, as torch-fidelity does, else ``"interleaved"``.
        num_samples: N, needed by the last two and by ``split_size``; the command line fills it in.
        split_size: samples of each split, in the order of their index, instead of ``splits``; the last may hold fewer,
            and counts as much in the mean. guided-diffusion's score is that of 5000.
        ddof: of the standard deviation over splits; torchmetrics takes 1.
        se: report ``is_se`` too, the standard error of ``is``, by the delta method: ``IS·std_i(KL_i) / √N``, where KL_i
            is against the p̄ of all samples. ``is_std`` is √S times too wide for that. The interval is one of the score
            at this N: scores of few samples a split are lower. It takes 16 MB more of 1008 classes: half of it
            are the logits of 2000 samples, by which scores of the same seeds are compared.
        cluster: how many consecutive ids depend on each other, as images of one prompt do.

    Raises:
        NotEnoughSamples: at compute, without samples.
        ValueError: at compute, where ids do not fit ``num_samples``.

    Warns:
        BiasWarning: with fewer samples than splits, or where contiguous splits see different classes.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([IS(splits=1)], extractor=None, num_classes=4)
        >>> metric.update(Features(logits=100 * torch.eye(4)), real=False)
        >>> metric.compute()["is_features"]
        tensor(4., dtype=torch.float64)
    """

    splits: int = 10
    assignment: Assignment | None = None
    num_samples: int | None = None
    ddof: int = 0
    split_size: int | None = field(default=None, kw_only=True)
    se: bool = field(default=False, kw_only=True)
    cluster: int = field(default=1, kw_only=True)

    label: ClassVar[str] = "is"
    group: ClassVar[str] = "core"
    paper: ClassVar[str] = "Salimans et al., NeurIPS 2016"
    column: ClassVar[str] = "logits"

    def __post_init__(self) -> None:
        check_integer("IS splits", self.splits, least=1)
        check_integer("IS num_samples", self.num_samples, least=1, optional=True)
        check_integer("IS ddof", self.ddof, least=0)
        check_integer("IS split_size", self.split_size, least=1, optional=True)
        self._check_split_size()
        check_flag("IS se", self.se)
        check_integer("IS cluster", self.cluster, least=1)
        if self.cluster != 1 and not self.se:
            raise ValueError("IS cluster is of its standard error. Remedy: se=True.")
        if self.split_size is None:
            self._marginals(1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        score = Scalar("is", "Inception score", "higher", kind="positive")
        spread = Scalar("is_std", family=score.title, spread_of="is")
        return (score, spread, error_of(score, ABOUT)) if self.se else (score, spread)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(se=True).scalars

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        classes = width(spec, "IS", "logits")
        errors = (self._predictions(classes), self._kept(classes)) if self.se else ()
        return {"fake": (self._marginals(classes), *errors)}

    def check(self, sides: Sides) -> None:
        sides.fake.require(self.num_samples or 1, "IS", "as many samples as `num_samples` says, or leave it out")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        marginals = self._marginals(width(sides.spec, "IS", "logits"))
        state = sides.fake[marginals]
        counts = marginals.counts(state)
        self._check_placed(int(marginals.misplaced(state)), counts.tolist())
        filled = counts > 0
        _warn_of_splits(int(filled.sum()), marginals.splits)
        counts = counts[filled].unsqueeze(1)
        negentropies, probabilities = marginals.negentropies(state)[filled], marginals.probabilities(state)[filled]
        scores = (negentropies / counts.squeeze(1) + entropy(probabilities / counts)).exp()
        if marginals.assignment == "contiguous":
            _warn_if_sorted(counts, probabilities)
        variance = (scores - scores.mean()).square().sum() / (len(scores) - self.ddof)
        values = {"is": scores.mean(), "is_std": variance.sqrt()}
        if self.se:
            predictions = self._predictions(marginals.num_classes)
            mean = probabilities.sum(0) / counts.sum()
            values["is_se"] = values["is"] * predictions.error(sides.fake[predictions], mean.log())
        return values

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        """Return the score of all samples as one split, and its influences ``IS·KL_i`` of the samples kept."""
        if not self.se:
            return {}
        marginals = self._marginals(width(sides.spec, "IS", "logits"))
        state, kept = sides.fake[marginals], self._kept(marginals.num_classes)
        n = sides.fake.num_samples
        mean = marginals.probabilities(state).sum(0) / n
        value = (marginals.negentropies(state).sum() / n + entropy(mean)).exp()
        if (drawn := drawn_of(sides.fake, kept)) is None:  # of a state that another measure saved
            return {}
        influence = influence_of(drawn.index, value * divergences(drawn.rows, mean.log()), self.cluster)
        return {"is": Evidence("is", float(value), replace(influence, num_samples=n), better="higher")}

    def _kept(self, num_classes: int) -> Reservoir:
        capacity = max(RESERVOIR // self.cluster, 2) * self.cluster
        return Reservoir(num_classes, capacity, "logits", self.cluster)

    def _predictions(self, num_classes: int) -> PredictionMoments | ClusteredPredictions:
        if self.cluster > 1:
            return ClusteredPredictions(num_classes, self.cluster)
        return PredictionMoments(num_classes + 1)

    def _marginals(self, num_classes: int) -> Marginals:
        if self.split_size is not None:
            if self.num_samples is None:
                raise ValueError(
                    f"IS(split_size={self.split_size}): expected num_samples=, by which the splits are known, got none."
                    f" Remedy: IS(split_size={self.split_size}, num_samples=50000)."
                )
            splits = -(-self.num_samples // self.split_size)
            return Marginals(num_classes, splits, "contiguous", splits * self.split_size)  # the last as if full
        unknown = "interleaved" if self.num_samples is None else "shuffled"
        return Marginals(num_classes, self.splits, self.assignment or unknown, self.num_samples)

    def _check_split_size(self) -> None:
        if self.split_size is not None and (self.splits != 10 or self.assignment not in (None, "contiguous")):
            raise ValueError(
                f"IS split_size: expected neither splits= nor an assignment but 'contiguous' beside it, got "
                f"splits={self.splits}, assignment={self.assignment!r}. Remedy: IS(split_size={self.split_size})."
            )

    def _check_placed(self, misplaced: int, counts: list[float]) -> None:
        if misplaced or (self.num_samples and counts != self._sizes(self.num_samples)):
            raise ValueError(
                f"IS(num_samples={self.num_samples}): {misplaced} samples have an index beyond that, or some "
                "index came twice. Remedy: give update() each sample's `index` (without it, only rank 0's arrivals "
                "have a place), or leave num_samples out."
            )

    def _sizes(self, n: int) -> list[int]:
        """Return how many of n samples each split holds."""
        if self.split_size is not None:
            return [min(self.split_size, n - start) for start in range(0, n, self.split_size)]
        return [(i + 1) * n // self.splits - i * n // self.splits for i in range(self.splits)]


def entropy(p: Tensor) -> Tensor:
    """Return ``−Σ p·log p`` over the last dimension, nats, with ``0·log 0 = 0``."""
    return -torch.xlogy(p, p).sum(-1)


def _warn_of_splits(filled: int, splits: int) -> None:
    if filled < splits:
        warnings.warn(
            f"IS: the samples fill {filled} of {splits} splits; the others are left out. "
            "Remedy: more samples or fewer splits.",
            BiasWarning,
            stacklevel=2,
        )


def _warn_if_sorted(counts: Tensor, probabilities: Tensor) -> None:
    """Warn where splits tell classes far beyond chance: expected information ``(S − 1)(C − 1) / 2N`` nats."""
    total, (splits, classes) = counts.sum(), probabilities.shape
    pooled = entropy(probabilities.sum(0) / total)
    information = pooled - (counts.squeeze(1) / total * entropy(probabilities / counts)).sum()
    if information > 0.1 + 3 * (splits - 1) * (classes - 1) / (2 * total):
        warnings.warn(
            "IS: contiguous splits of this stream hold different classes (is it sorted?), which lowers the score. "
            "Remedy: assignment='shuffled' or 'interleaved'.",
            BiasWarning,
            stacklevel=2,
        )
