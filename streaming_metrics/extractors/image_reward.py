"""ImageReward: a BLIP with a head that was trained on rankings of experts.

J. Xu et al., "ImageReward: learning and evaluating human preferences for text-to-image generation", NeurIPS 2023.
"""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from streaming_metrics.extractors.folders import digest_of_words, processor_in, transformers_of
from streaming_metrics.extractors.preprocess import CLIP, Preprocess
from streaming_metrics.extractors.scorer import ScoringNetwork
from streaming_metrics.extractors.weights import PREFIX, frozen_network, load_weights

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

URL = "https://huggingface.co/THUDM/ImageReward/resolve/main/ImageReward.pt"
MEAN, STD = 0.16717362830052426, 1.0333394966054072
"""Of rewards before they are standardised."""
TOKENS = 35
"""Tokens that are read of a caption."""
HEAD = (1024, 128, 64, 16, 1)
"""Widths of the head, all of it linear."""
VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 16,
    "layer_norm_eps": 1e-6,
}
TEXT = {"vocab_size": 30524, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
TEXT |= {"intermediate_size": 3072, "max_position_embeddings": 512}
"""Sizes of its BLIP, a large one."""
NAMES = (
    (r"^blip\.visual_encoder\.norm\.", "vision.post_layernorm."),
    (r"^blip\.visual_encoder\.patch_embed\.proj\.", "vision.embeddings.patch_embedding."),
    (r"^blip\.visual_encoder\.pos_embed$", "vision.embeddings.position_embedding"),
    (r"^blip\.visual_encoder\.cls_token$", "vision.embeddings.class_embedding"),
    (r"^blip\.visual_encoder\.blocks\.", "vision.encoder.layers."),
    (r"^blip\.text_encoder\.", "text."),
    (r"^mlp\.layers\.", "head."),
    (r"(?<=\d)\.attn\.proj\.", ".self_attn.projection."),
    (r"(?<=\d)\.attn\.", ".self_attn."),
    (r"(?<=\d)\.norm(?=[12]\.)", ".layer_norm"),
)
"""Names of tensors in the authors' file, and of those of transformers' BLIP."""
UNUSED = re.compile(r"^blip\.(vision|text)_proj\.|\.position_ids$")


class ImageReward(ScoringNetwork):
    """ImageReward of images for their captions: ``(r − 0.1672) / 1.0333``, r the reward of its BLIP; about −2 to 2.

    The network is transformers' BLIP, into which the authors' tensors are read by name.

    Args:
        tokenizer: local folder of ``save_pretrained`` of the tokenizer ``bert-base-uncased``.
        weights: path or URL of ``ImageReward.pt``. Default: the authors' URL.
        vision, text: sizes of BLIP's networks, where they are not the published ones.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`~streaming_metrics.extractors.Extractor`.

    Raises:
        ImportError: transformers is missing; ``pip install "streaming-metrics[networks]"``.
        FileNotFoundError, ConnectionError: weights or a tokenizer that cannot be had.
        ValueError: weights that are damaged or of another network.

    Parity: ``ImageReward.load("ImageReward-v1.0").score(prompt, image)``.
    """

    name, tag = "imagereward", "imagereward"

    def __init__(
        self,
        tokenizer: str | os.PathLike[str],
        weights: str | os.PathLike[str] | None = None,
        vision: Mapping[str, Any] = VISION,
        text: Mapping[str, Any] = TEXT,
        precision: str = "fp32",
    ) -> None:
        super().__init__(precision)
        transformers = transformers_of(self.name)
        state, digest = load_weights(URL if weights is None else weights)
        self.network = frozen_network(lambda: _Reward(transformers, vision, text), renamed(state), self.name)
        self.tokenize: Any = processor_in(transformers.BertTokenizerFast, Path(tokenizer).expanduser(), self.name)
        side = vision["image_size"]
        self.preprocess = Preprocess(side, "pil-bicubic", "shorter", side, *CLIP)
        seen = [digest, digest_of_words(self.tokenize), {**vision}, {**text}]  # no tensor tells words, nor heads
        self.weights_id = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:PREFIX]
        self.resize = self.preprocess.name

    def scores(self, images: Tensor, captions: list[str]) -> Tensor:
        """Return the score of each image for its caption, ``(N,)``."""
        tokens = self.tokenize(
            captions, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
        ).to(images.device)
        with self.cast():
            rewards = self.network(self.preprocess(images), tokens.input_ids, tokens.attention_mask)
        return (rewards.float() - MEAN) / STD


class _Reward(nn.Module):
    """BLIP's encoder of images, that of texts which looks at them, and the head."""

    def __init__(self, transformers: Any, vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
        super().__init__()
        vision_config = transformers.BlipVisionConfig(**vision)
        text_config = transformers.BlipTextConfig(**text, encoder_hidden_size=vision_config.hidden_size)
        self.vision = transformers.BlipVisionModel(vision_config)
        self.text = transformers.models.blip.modeling_blip_text.BlipTextModel(text_config, add_pooling_layer=False)
        widths = (text_config.hidden_size, *HEAD)
        layers: list[nn.Module] = [nn.Linear(before, after) for before, after in pairwise(widths)]
        for place in (1, 3, 5):  # the authors' numbers count these
            layers.insert(place, nn.Dropout())
        self.head = nn.Sequential(*layers)

    def forward(self, pixels: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        seen = self.vision(pixels).last_hidden_state
        read = self.text(tokens, attention_mask=mask, encoder_hidden_states=seen).last_hidden_state
        return self.head(read[:, 0].float()).squeeze(1)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the authors' tensors under the names of transformers, those that nothing reads left out.

    Example:
        >>> import torch
        >>> names = "blip.visual_encoder.blocks.3.attn.proj.bias", "blip.text_proj.bias"
        >>> list(renamed(dict.fromkeys(names, torch.ones(1))))
        ['vision.encoder.layers.3.self_attn.projection.bias']
    """
    found = {}
    for name, tensor in state.items():
        if not UNUSED.search(name):
            now = name
            for pattern, replacement in NAMES:
                now = re.sub(pattern, replacement, now)
            found[now] = tensor
    return found
