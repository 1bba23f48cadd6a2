"""Perceptron: a small network in plain tensors, and Adam, without a module, a global random state or a compiler.

D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015. Parity target: ``torch.optim.Adam``, which
imports PyTorch's compiler at its first step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import RandomState

EPSILON = 1e-8


@dataclass(frozen=True)
class Perceptron:
    """Affine layers with rectified linear units between them, and one output.

    Args:
        weights: of each layer, ``(inputs, outputs)`` float64.
        biases: of each, ``(outputs,)``.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @classmethod
    def random(cls, widths: Sequence[int], scales: Sequence[float], random: RandomState) -> Perceptron:
        """Return one with Gaussian weights, of the given standard deviations, and biases 0.

        Args:
            widths: of the input and of each hidden layer.
            scales: standard deviations of the weights of each layer, the output's too.
            random: draws the weights.
        """
        shapes = list(pairwise([*widths, 1]))
        drawn = [scale * torch.from_numpy(random.standard_normal(shape)) for shape, scale in zip(shapes, scales)]
        weights = tuple(weight.requires_grad_() for weight in drawn)
        return cls(weights, tuple(torch.zeros(n, dtype=torch.float64, requires_grad=True) for _, n in shapes))

    @property
    def parameters(self) -> list[Tensor]:
        """Weights and biases."""
        return [*self.weights, *self.biases]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output ``(N,)`` of rows ``(N, D)``."""
        *hidden, (weight, bias) = zip(self.weights, self.biases)
        for inner, offset in hidden:
            x = torch.relu(torch.addmm(offset, x, inner))
        return torch.addmm(bias, x, weight).squeeze(1)


def adam(
    parameters: Sequence[Tensor],
    loss: Callable[[int], Tensor],
    steps: int,
    rate: Callable[[int], float],
    betas: tuple[float, float] = (0.9, 0.999),
) -> None:
    """Minimise ``loss(step)`` by Adam, in place; the step counts from 0.

    Args:
        parameters: leaves that require a gradient.
        loss: a scalar that depends on each of them.
        steps: how many.
        rate: the learning rate of a step.
        betas: decay rates of the moments.
    """

    def gradients(step: int) -> Sequence[Tensor]:
        with torch.enable_grad():
            return torch.autograd.grad(loss(step), parameters)

    adam_of_gradients(parameters, gradients, steps, rate, betas)


def adam_of_gradients(
    parameters: Sequence[Tensor],
    gradients: Callable[[int], Sequence[Tensor]],
    steps: int,
    rate: Callable[[int], float],
    betas: tuple[float, float] = (0.9, 0.999),
) -> None:
    """Minimise by Adam, in place, what has these gradients by the parameters, as they are, at each step from 0."""
    first, second = ([torch.zeros_like(parameter) for parameter in parameters] for _ in range(2))
    for step in range(steps):
        found = gradients(step)
        corrections = [1 - beta ** (step + 1) for beta in betas]
        with torch.no_grad():
            for parameter, gradient, mean, square in zip(parameters, found, first, second):
                mean.lerp_(gradient, 1 - betas[0])
                square.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
                root = (square / corrections[1]).sqrt_().add_(EPSILON)
                parameter.addcdiv_(mean, root, value=-rate(step) / corrections[0])
