"""PickScore: cosine of a CLIP that was trained on choices of users, times its scale.

Y. Kirstain et al., "Pick-a-Pic: an open dataset of user preferences for text-to-image generation", NeurIPS 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn.functional import cosine_similarity

from streaming_metrics.extractors.folders import (
    checked_folder,
    digest_of_folder,
    digest_of_words,
    network_in,
    processor_in,
    transformers_of,
)
from streaming_metrics.extractors.pil import resample
from streaming_metrics.extractors.preprocess import CLIP, Preprocess, shorter_to
from streaming_metrics.extractors.scorer import ScoringNetwork
from streaming_metrics.extractors.weights import PREFIX

if TYPE_CHECKING:
    import os

    from torch import Tensor, nn

CONTEXT = 77
"""Tokens that CLIP reads of a caption."""


class PickScore(ScoringNetwork):
    """PickScore of images for their captions: ``e^s·cos(image, text)``, s the scale of its CLIP; about 20.

    Args:
        folder: local, of ``save_pretrained`` of ``yuvalkirstain/PickScore_v1`` (a CLIP ViT-H/14 of transformers) and of
            its processor, ``laion/CLIP-ViT-H-14-laion2B-s32B-b79K``.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`~streaming_metrics.extractors.Extractor`.

    Raises:
        ImportError: transformers is missing; ``pip install "streaming-metrics[networks]"``.
        FileNotFoundError: no such folder, or one without configuration, weights or tokenizer.
        ValueError: a folder of another kind of network.

    Parity: ``logit_scale.exp() * (text_embs @ image_embs.T)`` of the model's card, images prepared by its processor:
    the shorter side resized by Pillow, the middle cut out as transformers cuts it.
    """

    name, tag = "pickscore", "pickscore"

    def __init__(self, folder: str | os.PathLike[str], precision: str = "fp32") -> None:
        super().__init__(precision)
        transformers = transformers_of(self.name)
        path, config = checked_folder(folder, "clip", self.name)
        network: Any = network_in(transformers.CLIPModel, path, self.name)
        self.network: nn.Module = network
        self.tokenize: Any = processor_in(transformers.CLIPTokenizerFast, path, self.name)
        self.side = int(network.config.vision_config.image_size)
        self.weights_id = digest_of_folder(path, {**config, "words": digest_of_words(self.tokenize)})[:PREFIX]
        self.resize = f"pil-bicubic-floor-{self.side}"

    def scores(self, images: Tensor, captions: list[str]) -> Tensor:
        """Return the score of each image for its caption, ``(N,)``."""
        network: Any = self.network
        tokens = self.tokenize(captions, padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt")
        with self.cast():
            image = network.get_image_features(pixel_values=self._input(images)).float()
            text = network.get_text_features(**tokens.to(images.device)).float()
        return network.logit_scale.exp() * cosine_similarity(image, text)

    def _input(self, images: Tensor) -> Tensor:
        """Return images as transformers prepares them for CLIP: of an odd border the smaller half is above and left."""
        pixels = resample(images, *shorter_to(images.shape[-2:], self.side), "bicubic")
        top, left = ((size - self.side) // 2 for size in pixels.shape[-2:])
        cut = pixels[..., top : top + self.side, left : left + self.side]
        return Preprocess(self.side, "pil-bicubic", mean=CLIP[0], std=CLIP[1])(cut)
