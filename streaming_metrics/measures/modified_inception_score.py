"""Modified Inception Score (m-IS): how much predictions differ within a class.

S. Gurumurthy, R. K. Sarvadevabhatla, R. V. Babu, "DeLiGAN: generative adversarial networks for diverse and limited
data", CVPR 2017. Parity target: the paper's formula over all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.statistics import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming_metrics.features import Features, Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import State, Statistic
    from streaming_metrics.statistics.sums import Shapes

UNEVEN = 1e-9
"""Share by which rounding may keep probabilities from adding up to 1."""


@dataclass(frozen=True)
class ClassPredictions(Sums):
    """Sums of predictions over the samples of each predicted class, float64.

    With ``p = softmax(logits)``, the class of the largest logit (of several, the first): ``counts (C,)``,
    ``negentropy (C,)`` ``Σ Σ_k p_k·log p_k``, ``p (C, C)`` ``Σ p`` and ``log_p (C, C)`` ``Σ log p``: 16 MB for 1008
    classes, however many samples. An update writes the rows of the classes that it meets alone.

    Args:
        num_classes: C.

    Example:
        >>> from streaming_metrics.features import Features
        >>> sums = ClassPredictions(2)
        >>> sums.update(sums.empty(), Features(logits=torch.tensor([[0.0, 1.0], [0.0, 2.0]])))["counts"]
        tensor([0., 2.], dtype=torch.float64)
    """

    num_classes: int

    column = "logits"
    writes_in_place: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_integer("num_classes", self.num_classes, least=1)

    @property
    def name(self) -> str:
        return f"class_predictions_{self.num_classes}"

    @property
    def shapes(self) -> Shapes:
        c = self.num_classes
        sizes = {"counts": (c,), "negentropy": (c,), "p": (c, c), "log_p": (c, c)}
        return {key: (size, torch.float64) for key, size in sizes.items()}

    def sums_of(self, features: Features) -> State:
        return self.update(self.empty(self.rows_of(features).device), features)

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        logits = self.rows_of(features)
        predicted, log_p = logits.argmax(1), logits.to(torch.float64).log_softmax(1)
        p = log_p.exp()
        added = {"counts": torch.ones_like(p[:, 0]), "negentropy": (p * log_p).sum(1), "p": p, "log_p": log_p}

        def write() -> State:
            for key, rows in added.items():
                state[key].index_add_(0, predicted, rows)
            return state

        return write

    def check(self, state: State) -> None:
        super().check(state)
        counts, slack = state["counts"], UNEVEN * state["counts"]
        self._expect((counts >= 0).all() and (counts == counts.round()).all(), "whole numbers of samples in classes")
        is_sum = (state["p"] >= 0).all() and ((state["p"].sum(1) - counts).abs() <= slack).all()
        self._expect(is_sum, "sums of probabilities")
        is_log = (state["log_p"] <= 0).all() and (state["negentropy"] <= 0).all()
        self._expect(is_log, "logarithms of probabilities")

    def bounds(self, state: State) -> tuple[float, float]:
        n = float(state["counts"].sum())
        return n, n

    def divergences(self, state: State) -> Tensor:
        """Return the mean ``KL(p_i ‖ p_j)`` over all pairs of a class, i = j among them, of each class that has
        samples: ``Σp·log p / n − (Σp)·(Σ log p) / n²``.
        """
        filled = state["counts"] > 0
        n, negentropy, p, log_p = (state[key][filled] for key in ("counts", "negentropy", "p", "log_p"))
        return (negentropy / n - (p / n[:, None] * (log_p / n[:, None])).sum(1)).clamp(min=0)


@dataclass(frozen=True)
class ModifiedIS(Measure):
    """Modified Inception Score: ``exp(mean_ij KL(p(c | y_i) ‖ p(c | y_j)))`` within a predicted class, mean over
    classes.

    Pairs i = j count, classes count alike however many samples they have, and one without any is left out (the authors'
    code gives NaN there). Range [1, ∞): 1 where all predictions of a class are the same, as of a generator that repeats
    one picture a class. Higher is more varied within classes, but unsure predictions of noise raise it too: read it
    beside the Inception Score. Needs no real samples; keeps 2C² + 2C sums, 16 MB at 1008 classes, and no logits.

    The authors' classifier is a 10-way head on pooled features; ours is whatever gives the logits.

    Raises:
        NotEnoughSamples: at compute, without samples.

    Example:
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([ModifiedIS()], extractor=None, num_classes=2)
        >>> metric.update(Features(logits=torch.tensor([[0.0, 1.0], [1.0, 2.0], [1.0, 0.0]])), real=False)
        >>> round(metric.compute()["modified_is_features"].item(), 6)
        1.0
    """

    label: ClassVar[str] = "modified_is"
    group: ClassVar[str] = "class predictions"
    paper: ClassVar[str] = "Gurumurthy et al., CVPR 2017"
    column: ClassVar[str] = "logits"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("modified_is", "Modified Inception score (within classes)", "higher"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        return {"fake": (self._sums(spec),)}

    def check(self, sides: Sides) -> None:
        sides.fake.require(1, "ModifiedIS")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        sums = self._sums(sides.spec)
        return {"modified_is": sums.divergences(sides.fake[sums]).exp().mean()}

    def _sums(self, spec: Spec) -> ClassPredictions:
        return ClassPredictions(width(spec, "ModifiedIS", "logits"))
