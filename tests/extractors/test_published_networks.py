"""Published weights of named networks, asked for with ``-m weights``: features as each authors' own loader gives them.

Sources: ``torch.hub`` of facebookresearch/dinov2, and the published files that timm and open_clip themselves choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import open_clip
import pytest
import timm
import torch
from reference_weights import draw_images

from streaming_metrics.extractors import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

pytestmark = pytest.mark.weights
IMAGES = draw_images(2, 300, 400, seed=1)


def of_timm(model: str) -> Callable[[Tensor], Tensor]:
    network = timm.create_model(model, pretrained=True).eval()
    return lambda pixels: network.forward_head(network.forward_features(pixels), pre_logits=True)  # pyright: ignore[reportCallIssue]


def of_open_clip(model: str, training: str) -> Callable[[Tensor], Tensor]:
    network: Any = open_clip.create_model(model, pretrained=training).eval()
    return network.encode_image


def of_hub(model: str) -> Callable[[Tensor], Tensor]:
    network: Any = torch.hub.load("facebookresearch/dinov2", model, trust_repo=True)  # pyright: ignore[reportArgumentType]
    return network.eval()


NETWORKS: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "dinov2-vits14": lambda: of_hub("dinov2_vits14"),
    "dinov2-vitl14": lambda: of_hub("dinov2_vitl14"),
    "dinov2-vitg14": lambda: of_hub("dinov2_vitg14"),
    "clip-vit-b32": lambda: of_open_clip("ViT-B-32-quickgelu", "openai"),
    "clip-vit-l14": lambda: of_open_clip("ViT-L-14-quickgelu", "openai"),
    "clip-vit-l14-336": lambda: of_open_clip("ViT-L-14-336-quickgelu", "openai"),
    "open_clip/ViT-B-32/laion2b_s34b_b79k": lambda: of_open_clip("ViT-B-32", "laion2b_s34b_b79k"),
    "open_clip/ViT-B-16-SigLIP2/webli": lambda: of_open_clip("ViT-B-16-SigLIP2", "webli"),
    "convnextv2-base": lambda: of_timm("convnextv2_base.fcmae_ft_in22k_in1k"),
    "mae-vit-l16": lambda: of_timm("vit_large_patch16_224.mae"),
    "siglip2-so400m": lambda: of_timm("vit_so400m_patch16_siglip_256.v2_webli"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_those_of_the_published_network(name: str) -> None:
    extractor: Any = resolve(name)
    with torch.no_grad():
        theirs = NETWORKS[name]()(extractor.preprocess(IMAGES))
    assert float((extractor(IMAGES).pool - theirs).norm() / theirs.norm()) < 1e-4
