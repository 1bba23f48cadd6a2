"""Weights: random ones are told from trained ones, and others from those that the measure is published on."""

from __future__ import annotations

import pytest
import torch
from doctor_cases import crops, facts
from torch import nn

from streaming_metrics.doctor.checks import findings
from streaming_metrics.doctor.checks.weights import neighbours_of, weights
from streaming_metrics.doctor.facts import Facts
from streaming_metrics.extractors import EfficientNetLite0, InceptionV3, ModuleExtractor

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def verdict(of: Facts) -> str:
    return weights(of).verdict


def untrained() -> nn.Module:
    from torchvision import models

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.resnet18(weights=None)


def test_random_weights_are_told_from_trained_ones_by_a_wide_margin() -> None:
    trained = neighbours_of(EfficientNetLite0(side=32))
    random = neighbours_of(untrained())
    assert (round(trained.correlation, 1), trained.z > 50) == (0.3, True)
    assert (abs(random.correlation) < 1e-3, abs(random.z) < 3) == (True, True)


def test_an_untrained_network_is_a_fault_and_a_trained_one_is_not() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 32, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    network = ModuleExtractor(nn.Sequential(*layers), tag="untrained", value_range=(0, 1))
    assert verdict(facts(crops(seed=1), crops(seed=2), network)) == "fault"
    smooth = nn.functional.avg_pool2d(network.module[0].weight, 3, 1, 1)  # pyright: ignore
    network.module[0].weight.copy_(smooth)  # pyright: ignore
    assert verdict(facts(crops(seed=1), crops(seed=2), network)) != "fault"


def test_weights_of_another_inception_are_not_the_published_ones() -> None:
    found = facts(crops(seed=1), crops(seed=2))
    trained = Facts(**{**vars(found), "network": EfficientNetLite0(side=32), "is_published": False})
    sentence = next(finding.sentence for check, finding in findings(trained).items() if check.name == "weights")
    assert "not those of the file" in sentence
    assert InceptionV3.published == frozenset()


def test_false_alarms_of_random_weights_are_as_rare_as_their_error_rate_says() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(8, 8, 3)
    beyond = 0
    for _ in range(300):
        with torch.no_grad():
            layer.weight.copy_(torch.rand(layer.weight.shape, generator=generator) - 0.5)
        beyond += abs(neighbours_of(layer).z) > 1.96
    assert 0.02 < beyond / 300 < 0.09
