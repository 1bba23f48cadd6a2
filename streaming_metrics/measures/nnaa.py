"""Nearest neighbour adversarial accuracy (NNAA), and the privacy loss that it measures.

A. Yale, S. Dash, R. Dutta, I. Guyon, A. Pavao, K. P. Bennett, "Generation and evaluation of privacy preserving
synthetic health data", Neurocomputing 2020.
Parity target: the paper's definition, on scikit-learn's ``NearestNeighbors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.pairwise import Nearest, Radii
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class NNAA(Measure):
    """NNAA: accuracy of telling real from generated samples by the side of their nearest neighbour.

    ``nnaa``: ``½ (mean_i [d(x_i, Y) > d(x_i, X∖x_i)] + mean_j [d(y_j, X) > d(y_j, Y∖y_j)])``, d the Euclidean distance
    to the nearest. Range [0, 1]; ½ is best, which no direction says: near 1 the sides are apart, near 0 generated
    samples are copies of real ones. n real and m generated samples of one distribution have a mean of
    ``(n + m − 2) / (2(n + m − 1))``, whatever the share of each. Distances are compared exactly, so that the value does
    not depend on order, batches, ranks and devices; of two that are equally near, the one of the other side counts as
    nearer. The generated half of a generator all of whose samples are equal is 1, and 0 where it equals a real sample.

    With ``privacy``, real samples are those that the generator was not trained on, and ``privacy_loss`` is ``nnaa``
    less ``nnaa_train``, the same against the role ``train``: ``update(features, role="train")``. Range [−1, 1], 0 where
    the generator is as near to its training samples as to others, above where it is nearer; lower is better.

    Of each side, ``most`` rows are kept, which depend on the ids alone, so sides are of equal size where they have so
    many. 500 a side have a standard error of about 0.016.

    Args:
        most: rows of each side; None keeps all.
        privacy: report the privacy loss.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 samples a side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([NNAA()], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [1.0], [10.0], [30.0]]), real=True)
        >>> metric.update(torch.tensor([[10.5], [30.5]]), real=False)  # 0 and 1 have each other
        >>> metric.compute()
        {'nnaa_features': tensor(0.2500, dtype=torch.float64)}
    """

    most: int | None = 500
    privacy: bool = False

    label: ClassVar[str] = "nnaa"
    group: ClassVar[str] = "copying"
    paper: ClassVar[str] = "Yale et al., Neurocomputing 2020"

    def __post_init__(self) -> None:
        check_integer("NNAA most", self.most, least=2, optional=True)
        check_flag("NNAA privacy", self.privacy)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        family = "Nearest neighbour adversarial accuracy"
        accuracy = Scalar("nnaa", "Adversarial accuracy", family=family)
        on_train = Scalar("nnaa_train", "Adversarial accuracy, training samples", family=family)
        loss = Scalar("privacy_loss", "Privacy loss of adversarial accuracy", "lower")
        return (accuracy, on_train, loss) if self.privacy else (accuracy,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(privacy=True).scalars

    @property
    def references(self) -> tuple[Role, ...]:
        """The roles that generated samples are compared with."""
        return ("real", "train") if self.privacy else ("real",)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        return dict.fromkeys(("fake", *self.references), (self.bank(spec),))

    def bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "NNAA"), capacity=self.most)

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        within = [Radii(role, 1) for role in ("fake", *self.references)]
        across = [Nearest(*pair) for role in self.references for pair in ((role, "fake"), ("fake", role))]
        return (*within, *across)

    def check(self, sides: Sides) -> None:
        for role in ("fake", *self.references):
            sides[role].require(2, "NNAA")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        values = {"nnaa": adversarial_accuracy(results, "real")}
        if self.privacy:
            values["nnaa_train"] = adversarial_accuracy(results, "train")
            values["privacy_loss"] = values["nnaa"] - values["nnaa_train"]
        return values


def adversarial_accuracy(results: Results, reference: Role) -> Tensor:
    """Return the accuracy ``()`` between a role and the generated side, by distances within each and across."""
    halves = [
        results[Nearest(role, other)][0] > results[Radii(role, 1)]
        for role, other in ((reference, "fake"), ("fake", reference))
    ]
    return (halves[0].double().mean() + halves[1].double().mean()) / 2
