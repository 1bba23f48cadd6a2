"""A stand-in for the published Inception weights: random, of the same names and shapes, and well-behaved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models.inception import Inception3

if TYPE_CHECKING:
    from pathlib import Path


def write_reference_weights(path: Path, seed: int = 0) -> Path:
    """Write weights that every Inception of the field reads, ours and the peers'."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
        for module in network.modules():
            _draw(module)
        with torch.no_grad():
            network.train()((draw_images(2, 299, 299).float() - 128) / 128)
        torch.save(network.state_dict(), path)
    return path


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
    elif isinstance(module, nn.BatchNorm2d):
        module.momentum = 1.0  # the running statistics become those of the one batch
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, std=0.2)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.bias)


def draw_images(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Return uint8 images ``(n, 3, height, width)`` of soft colours and some noise, so that features differ."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(n, 3, 3, 3, generator=generator) * 255
    noise = torch.randn(n, 3, height, width, generator=generator) * 20
    return (interpolate(colours, size=(height, width), mode="bilinear") + noise).clamp(0, 255).round().to(torch.uint8)


def write_dinov2(file: Path) -> Path:
    """Write a file like Meta's: position embeddings of 37 x 37 patches, and a token that only training uses."""
    import timm

    if not file.exists():
        generator = torch.Generator().manual_seed(0)
        shapes = {
            n: t.shape for n, t in timm.create_model("vit_small_patch14_dinov2", img_size=518).state_dict().items()
        }
        state = {name: 0.08 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        torch.save({**state, "mask_token": torch.zeros(1, 384)}, file)
    return file
