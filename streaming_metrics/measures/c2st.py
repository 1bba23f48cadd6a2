"""Classifier two-sample test: how well a classifier tells generated from real features.

D. Lopez-Paz, M. Oquab, "Revisiting classifier two-sample tests", ICLR 2017; Q. Xu, G. Huang, Y. Yuan, C. Guo, Y. Sun,
F. Wu, K. Weinberger, "An empirical study on evaluation metrics of generative adversarial networks", 2018 (1-NN).
Parity target: scikit-learn's nearest neighbours and logistic regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.held_out import balanced_halves, balanced_size
from streaming_metrics.measures.logistic import logistic_regression
from streaming_metrics.measures.nearest_labels import NearestLabels
from streaming_metrics.measures.perceptron import Perceptron, adam
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.measures.held_out import Halves
    from streaming_metrics.statistics import Statistic

CLASSIFIERS = ("knn", "logistic", "mlp")
UNITS, EPOCHS, BATCH, RATE = 20, 100, 64, 1e-3
"""Of the perceptron: one hidden layer, as in the paper."""


@dataclass(frozen=True)
class C2ST(Measure):
    """Classifier two-sample test: accuracy in telling generated from real features, and its p-value.

    - ``"knn"``: leave-one-out accuracy of the nearest neighbour: the share of samples whose nearest other one, of both
      sides, is of their own; equally near ones count in parts. For equal distributions of n samples each it is
      ``(n − 1)/(2n − 1)`` on average; towards 1 they differ, towards 0 generated samples are copies of real ones.
      ``c2st_p`` is the share of ``permutations`` of the sides, over the same neighbours, with as high an accuracy; it
      is exact where all samples are independent.
    - ``"logistic"``, ``"mlp"``: accuracy on held-out halves of a classifier trained on the others, whose features have
      mean 0 and variance 1: a logistic regression with penalty ``‖w‖²/2``, or a perceptron of 20 units trained by Adam
      for 100 epochs, which are few steps where samples are few. ½ on average for equal distributions;
      ``c2st_p = 1 − Φ((accuracy − ½)·2·√n_test)``, the paper's approximation: from a dozen held-out samples on, levels
      are kept within a factor of 1.6.

    ``c2st``, and ``c2st_real`` and ``c2st_fake`` of either side alone: range [0, 1], ½ is best. ``c2st_p`` in (0, 1].
    Of each side, ``most`` rows are kept, equally many of both are used; ids alone decide which. Nothing of a frozen
    side would stay as it is, so there is no bound form. At 1,000 rows a side of width 2048, ``"knn"`` takes half a
    second of one core, ``"logistic"`` as long, ``"mlp"`` some seconds.

    Args:
        classifier: which.
        most: rows of each side.
        permutations: of ``"knn"``; 0 leaves its ``c2st_p`` out.
        seed: of the permutations, and of the perceptron.

    Raises:
        NotEnoughSamples: at compute, with fewer than 4 samples a side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([C2ST()], extractor=None, num_features=1)
        >>> metric.update(torch.arange(10.0).view(10, 1), real=True)
        >>> metric.update(torch.arange(10.0).view(10, 1) + 5.3, real=False)
        >>> {key: round(value.item(), 3) for key, value in metric.compute().items()}
        {'c2st_features': 0.5, 'c2st_real_features': 0.5, 'c2st_fake_features': 0.5, 'c2st_p_features': 0.43}
    """

    classifier: Literal["knn", "logistic", "mlp"] = "knn"
    most: int = 1000
    permutations: int = 999
    seed: int = 0

    label: ClassVar[str] = "c2st"
    group: ClassVar[str] = "two-sample tests"
    paper: ClassVar[str] = "Lopez-Paz and Oquab, ICLR 2017"

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            raise ValueError(f"C2ST classifier: expected one of {', '.join(CLASSIFIERS)}, got {self.classifier!r}.")
        check_integer("C2ST most", self.most, least=4)
        check_integer("C2ST permutations", self.permutations, least=0)
        check_integer("C2ST seed", self.seed, least=0, most=2**32 - 1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        title = "Accuracy of a two-sample classifier"
        accuracies = (
            Scalar("c2st", title),
            Scalar("c2st_real", f"{title}, real samples", family=title),
            Scalar("c2st_fake", f"{title}, generated samples", family=title),
        )
        has_p = self.classifier != "knn" or self.permutations
        return (*accuracies, Scalar("c2st_p", "p-value of C2ST")) if has_p else accuracies

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self._bank(spec),)
        return {"real": bank, "fake": bank}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(4, "C2ST")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        return dict(zip(self.keys, self._nearest(sides) if self.classifier == "knn" else self._held_out(sides)))

    def _nearest(self, sides: Sides) -> tuple[Tensor, ...]:
        size, bank = balanced_size(sides, self.most), self._bank(sides.spec)
        labels = NearestLabels(*(side.rows(bank, size) for side in (sides.real, sides.fake)))
        p_value = (labels.p_value(self.permutations, self.seed),) if self.permutations else ()
        return *labels.accuracies, *p_value

    def _held_out(self, sides: Sides) -> tuple[Tensor, ...]:
        train, test = standardised(*balanced_halves(sides, self._bank(sides.spec), self.most))
        classifier = logistic_regression if self.classifier == "logistic" else partial(perceptron, seed=self.seed)
        margins = signs_of(test) * classifier(train, signs_of(train))(test)
        accuracy, of_real, of_fake = (share_positive(some) for some in (margins, *np.split(margins, 2)))
        p_value = float(ndtr((0.5 - accuracy) * 2 * len(test) ** 0.5))
        return tuple(torch.tensor(value, dtype=torch.float64) for value in (accuracy, of_real, of_fake, p_value))

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "C2ST"), capacity=self.most)


def standardised(real: Halves, fake: Halves) -> tuple[np.ndarray, np.ndarray]:
    """Return the pooled rows that train, and those that test, float64, real ones first; scaled so that each feature has
    mean 0 and variance 1 where it trains. One that is constant there loses its mean alone.
    """
    train, test = (torch.cat(pair).cpu().double().numpy() for pair in zip(real, fake))
    mean, std = train.mean(0), train.std(0)
    std[std == 0] = 1
    return (train - mean) / std, (test - mean) / std


def signs_of(pooled: np.ndarray) -> np.ndarray:
    """Return 1 for each row of the first half, −1 for those of the second."""
    return np.repeat([1.0, -1.0], len(pooled) // 2)


def perceptron(x: np.ndarray, signs: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a perceptron trained on rows ``(N, D)`` to have the sign of each ``(N,)``."""
    random = np.random.RandomState(seed)
    rows, targets = torch.from_numpy(x), torch.from_numpy(signs)
    widths = (rows.shape[1], UNITS)
    network = Perceptron.random(widths, [(2 / width) ** 0.5 for width in widths], random)
    orders = (random.permutation(len(x)) for _ in range(EPOCHS))
    batches = [batch for order in orders for batch in np.array_split(order, -(-len(x) // BATCH))]

    def loss(step: int) -> Tensor:
        batch = torch.from_numpy(batches[step])
        return torch.nn.functional.softplus(-targets[batch] * network(rows[batch])).mean()

    adam(network.parameters, loss, len(batches), lambda step: RATE)  # noqa: ARG005
    return lambda unseen: network(torch.from_numpy(unseen)).detach().numpy()


def share_positive(scores: np.ndarray) -> float:
    """Return the share of scores above 0; those at 0, which a classifier leaves open, count half."""
    return float((np.sign(scores).mean() + 1) / 2)
