"""Perceptron and Adam against torch.nn and torch.optim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from streaming_metrics.measures.perceptron import Perceptron, adam


def small() -> Perceptron:
    return Perceptron.random((3, 5, 4), (1.0, 0.5, 0.5), np.random.RandomState(0))


def in_torch(network: Perceptron) -> nn.Sequential:
    """The same network of torch.nn."""
    layers: list[nn.Module] = []
    for weight, bias in zip(network.weights, network.biases):
        layer = nn.Linear(*weight.shape, dtype=torch.float64)
        layer.weight, layer.bias = nn.Parameter(weight.detach().T.clone()), nn.Parameter(bias.detach().clone())
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


ROWS = torch.linspace(-2, 2, 60, dtype=torch.float64).view(20, 3).sin()


def test_output_is_torchs() -> None:
    network = small()
    assert network(ROWS).tolist() == pytest.approx(in_torch(network)(ROWS)[:, 0].tolist(), rel=1e-12)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.9)])
def test_steps_are_torchs(betas: tuple[float, float]) -> None:
    network, target = small(), ROWS.sum(1).abs()
    twin = in_torch(network)
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.01, betas=betas)
    for _ in range(30):
        optimizer.zero_grad()
        (twin(ROWS)[:, 0] - target).square().mean().backward()
        optimizer.step()
    adam(network.parameters, lambda _: (network(ROWS) - target).square().mean(), 30, lambda _: 0.01, betas)
    assert network(ROWS).tolist() == pytest.approx(twin(ROWS)[:, 0].tolist(), rel=1e-9)


def test_it_learns_where_gradients_are_off() -> None:
    network, target = Perceptron.random((3, 30), (1.0, 0.3), np.random.RandomState(0)), ROWS.sum(1).abs()
    before = (network(ROWS) - target).square().mean().item()
    with torch.no_grad():
        adam(network.parameters, lambda _: (network(ROWS) - target).square().mean(), 200, lambda _: 0.01)
    assert (network(ROWS) - target).square().mean().item() < before / 20


def test_a_seed_decides_and_the_global_random_state_does_not() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again = small(), small()
    assert all(map(torch.equal, first.parameters, again.parameters))
    assert torch.equal(state, torch.get_rng_state())
