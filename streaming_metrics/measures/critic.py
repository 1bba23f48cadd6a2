"""Wasserstein critic: a small network, trained to tell the sides apart, whose slope is held at 1.

I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved training of Wasserstein GANs", NeurIPS 2017;
I. Danihelka, B. Lakshminarayanan, B. Uria, D. Wierstra, P. Dayan, "Comparison of maximum likelihood and GAN-based
training of real NVPs", 2017 (a critic of its own for evaluation). Networks differ between papers, so no figures of
theirs can be met. Parity target: optimal transport between the samples (POT), in few dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.held_out import balanced_halves
from streaming_metrics.measures.perceptron import Perceptron, adam
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

PENALTY, BETAS = 10.0, (0.0, 0.9)
"""Of the gradient, and of Adam, as in the paper."""
RATE, BATCH = 1e-2, 64
SLOPE = 2.0
"""Of the units of the first layer, at the start: features are of unit scale, so that a unit changes by as much."""


@dataclass(frozen=True)
class WassersteinCritic(Measure):
    """Wasserstein-1 distance of features, estimated by a critic: a lower bound that a better critic would raise.

    ``(mean f(x) − mean f(y)) / mean ‖∇f‖`` over samples that f has not seen, the gradient at points between pairs of
    them. f, a perceptron of two hidden layers, is trained by Adam on ``mean f(y) − mean f(x) + 10·mean (‖∇f‖ − 1)²``,
    for ``steps`` batches of 64, its rate falling to 0. At a distance of δ that penalty leaves slopes of ``1 + δ/20``,
    which the denominator undoes.

    Range about [0, ∞), in units of the features; lower is better. Of equal distributions it is about 0, and may be
    below. Features are scaled so that real ones have a root mean squared distance of 1 from their mean; the value is
    scaled back. In few dimensions it comes near the distance; in many, a critic of so few steps and samples finds a
    part of it, of a difference in scale alone a small one: compare values of the same options and numbers of samples.

    Of each side, ``most`` rows are kept, equally many of both are used; ids alone decide which train f and which judge
    it. It is trained on the CPU in float64, without the global random state: some 6 seconds of one core at width 2048.

    Args:
        most: rows of each side.
        width: units of a hidden layer.
        steps: of Adam.
        seed: of the weights and batches.

    Raises:
        NotEnoughSamples: at compute, with fewer than 4 samples a side.
        ValueError: at compute, where all real features that train it are the same: they have no scale.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([WassersteinCritic(steps=100)], extractor=None, num_features=1)
        >>> metric.update(torch.arange(20.0).view(20, 1), real=True)
        >>> metric.update(torch.arange(20.0).view(20, 1) + 1000, real=False)
        >>> round(metric.compute()["wasserstein_critic_features"].item(), -2)
        1000.0
    """

    most: int = 2000
    width: int = 64
    steps: int = 500
    seed: int = 0

    label: ClassVar[str] = "wasserstein_critic"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Gulrajani et al., NeurIPS 2017"

    def __post_init__(self) -> None:
        check_integer("WassersteinCritic most", self.most, least=4)
        check_integer("WassersteinCritic width", self.width, least=1)
        check_integer("WassersteinCritic steps", self.steps, least=1)
        check_integer("WassersteinCritic seed", self.seed, least=0, most=2**32 - 1)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("wasserstein_critic", "Wasserstein-1 distance by a critic", "lower"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self._bank(spec),)
        return {"real": bank, "fake": bank}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(4, "WassersteinCritic")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        real, fake = balanced_halves(sides, self._bank(sides.spec), self.most)
        centre, scale = centre_and_scale(real.train)
        x, y, unseen_x, unseen_y = (
            (rows.cpu().double() - centre) / scale for rows in (real.train, fake.train, real.test, fake.test)
        )
        random = np.random.RandomState(self.seed)
        critic = Critic(x, y, self.width, random)
        critic.train(self.steps, random)
        return {"wasserstein_critic": scale * critic.distance(unseen_x, unseen_y, random)}

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "WassersteinCritic"), capacity=self.most)


def centre_and_scale(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of ``rows (n, D)``, and the root mean squared distance from it, float64 on the CPU."""
    rows = rows.cpu().double()
    centre = rows.mean(0)
    scale = (rows - centre).square().sum(1).mean().sqrt()
    if not scale > 0:
        raise ValueError(
            "WassersteinCritic: expected real features that differ, got copies of one. Remedy: check the extractor."
        )
    return centre, scale


class Critic:
    """A function of features, trained to be larger on the first of two sets, with a slope of 1 between them.

    Args:
        x, y: ``(n, D)`` float64 on the CPU, of about unit scale.
        width: units of each hidden layer.
        random: draws the weights.
    """

    def __init__(self, x: Tensor, y: Tensor, width: int, random: np.random.RandomState) -> None:
        self.x, self.y = x, y
        scales = (SLOPE / x.shape[1] ** 0.5, (2 / width) ** 0.5, 0.0)  # 0: it starts flat, without noise
        self.perceptron = Perceptron.random((x.shape[1], width, width), scales, random)

    def __call__(self, rows: Tensor) -> Tensor:
        return self.perceptron(rows)

    def train(self, steps: int, random: np.random.RandomState) -> None:
        """Take so many steps of Adam, each on a batch of pairs that ``random`` draws."""

        def loss(step: int) -> Tensor:  # noqa: ARG001
            x, y = (side[torch.from_numpy(random.randint(len(side), size=BATCH))] for side in (self.x, self.y))
            penalty = (self.slopes(between(x, y, random), create_graph=True) - 1).square().mean()
            return self(y).mean() - self(x).mean() + PENALTY * penalty

        adam(self.perceptron.parameters, loss, steps, lambda step: RATE * (1 - step / steps), BETAS)

    def slopes(self, rows: Tensor, *, create_graph: bool = False) -> Tensor:
        """Return the norms of the gradient ``(N,)`` at rows ``(N, D)``."""
        with torch.enable_grad():
            rows = rows.detach().requires_grad_()
            (gradients,) = torch.autograd.grad(self(rows).sum(), rows, create_graph=create_graph)
            return torch.linalg.vector_norm(gradients, dim=1)

    def distance(self, x: Tensor, y: Tensor, random: np.random.RandomState) -> Tensor:
        """Return how much larger it is on ``x (n, D)`` than on ``y (n, D)``, by its mean slope, float64 ``()``."""
        slope = self.slopes(between(x, y, random)).double().mean()
        with torch.no_grad():
            gap = self(x).double().mean() - self(y).double().mean()
        return torch.where(slope > 0, gap / slope, 0.0)


def between(x: Tensor, y: Tensor, random: np.random.RandomState) -> Tensor:
    """Return a random point on the line between each of the rows of ``x (n, D)`` and that of ``y (n, D)``."""
    share = torch.from_numpy(random.uniform(size=(len(x), 1))).to(x)
    return torch.lerp(x, y, share)
