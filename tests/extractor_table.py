"""The table of extractors that the contract runs over, and the weights files they need, made once a session."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import open_clip
import pytest
import timm
import torch
from reference_weights import write_dinov2, write_reference_weights
from torch import Tensor, nn
from torchvision import models

from streaming_metrics import Features
from streaming_metrics.extractors import (
    EfficientNetLite0,
    InceptionV3,
    LowLevel,
    ModuleExtractor,
    TorchvisionExtractor,
    WaveletPackets,
)
from streaming_metrics.extractors.dinov2 import DINOv2
from streaming_metrics.extractors.hf import HFExtractor
from streaming_metrics.extractors.open_clip_network import OpenClipExtractor
from streaming_metrics.extractors.timm_network import TimmExtractor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streaming_metrics.extractors import Extractor


class Pixels(nn.Module):
    """A stand-in for a network of the user's: mean colours, no weights."""

    num_features = 12

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


class Classifier(nn.Sequential):
    """A network of the user's that gives logits as well."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Features:
        pool = images
        for layer in list(self)[:4]:
            pool = layer(pool)
        return Features(pool=pool, logits=self.head(pool))


EXTRACTORS: dict[str, Callable[[Path], Extractor]] = {
    "inception-v3": lambda weights: InceptionV3(weights / "inception.pth"),
    "inception-v3 at 64": lambda weights: InceptionV3(weights / "inception.pth", layer=64, resize="clean"),
    "inception-v3 at logits": lambda weights: InceptionV3(weights / "inception.pth", layer="logits"),
    "efficientnet-lite0": lambda _: EfficientNetLite0(side=64),
    "low-level": lambda _: LowLevel(),
    "wavelet-packets": lambda _: WaveletPackets(),
    "torchvision/mobilenet_v3_small": lambda weights: TorchvisionExtractor(
        "mobilenet_v3_small", weights / "mobilenet_v3_small.pth"
    ),
    "dinov2-vits14": lambda weights: DINOv2("dinov2-vits14", write_dinov2(weights / "dinov2_vits14_pretrain.pth")),
    "timm/test_vit.r160_in1k": lambda weights: TimmExtractor("test_vit.r160_in1k", weights / "test_vit.pth"),
    "open_clip/tiny-clip": lambda weights: OpenClipExtractor("tiny-clip", weights / "tiny-clip.pth"),
    "hf/tiny-vit": lambda weights: HFExtractor(weights / "tiny-vit"),
    "module": lambda _: ModuleExtractor(Pixels(), tag="pixels"),
    "module with logits": lambda _: ModuleExtractor(_classifier(), value_range=(-1, 1)),
}

SLOW = {"dinov2-vits14", "inception-v3 at logits"}
"""Rows that take long, and are of the kind of another row."""


def _classifier() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs the published weights, unless asked for with ``-m weights``."""
    if "weights" not in config.getoption("-m"):
        for item in items:
            if item.get_closest_marker("weights"):
                item.add_marker(pytest.mark.skip(reason="needs the published weights: -m weights"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights of the networks in the table."""
    folder = tmp_path_factory.mktemp("weights")
    write_reference_weights(folder / "inception.pth")
    with torch.random.fork_rng():
        torch.save(models.mobilenet_v3_small().state_dict(), folder / "mobilenet_v3_small.pth")
        torch.save(timm.create_model("test_vit.r160_in1k").state_dict(), folder / "test_vit.pth")
        _write_tiny_clip(folder)
        _write_tiny_vit(folder / "tiny-vit")
    return folder


@pytest.fixture(scope="session")
def inception_weights(weights: Path) -> Path:
    """Random weights of the reference Inception, which peers read too."""
    return weights / "inception.pth"


@pytest.fixture(scope="session")
def build_extractor(weights: Path) -> Callable[[str], Extractor]:
    """Return the extractor of a row of the table, the same one every time: nothing can change it."""
    return cache(lambda name: EXTRACTORS[name](weights))


def _write_tiny_clip(folder: Path) -> None:
    """Write random weights of a small CLIP, and make it known to open_clip as ``tiny-clip``."""
    vision = {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config = {"embed_dim": 32, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    (folder / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.save(open_clip.create_model("tiny-clip", load_weights=False).state_dict(), folder / "tiny-clip.pth")


def _write_tiny_vit(folder: Path) -> None:
    """Write a folder of transformers with random weights of a small classifier."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(32, 2, 2, 48, image_size=32, patch_size=8, num_labels=6)
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
