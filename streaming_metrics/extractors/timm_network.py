"""Any network of timm, by its name there: ``timm/vit_base_patch16_224.dino``; some have a name of their own."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from torch import Tensor

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.names import package_of, unknown
from streaming_metrics.extractors.preprocess import Preprocess
from streaming_metrics.extractors.resize import fast_layout
from streaming_metrics.extractors.weights import PREFIX, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os

    from streaming_metrics.extractors.preprocess import Crop

NAMED = {
    "convnextv2-base": "convnextv2_base.fcmae_ft_in22k_in1k",
    "mae-vit-l16": "vit_large_patch16_224.mae",
    "siglip2-so400m": "vit_so400m_patch16_siglip_256.v2_webli",
}
"""timm's names of networks with a name of their own."""
CROPS: dict[str, Crop] = {"center": "shorter", "squash": "squash"}
"""Crops by timm's names of them."""
INSIDE = ("state_dict", "model")
"""Where checkpoints hold the tensors, beside what they hold of a training."""


class TimmExtractor(Extractor):
    """A network of timm: pool is what its classifier reads, logits the classes where it has any.

    Images are prepared as timm's evaluation transform of its pretrained configuration does it: the shorter side is
    resized by Pillow, the middle is cut out.

    Args:
        model: a name of ``timm.list_pretrained()``, with what it was trained on: ``"vit_base_patch16_224.dino"``.
        weights: path or URL of a ``state_dict`` in timm's names. Default: the published ``model.safetensors``.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: timm is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: no such network; one whose preprocessing is not known; weights that are damaged or of another.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: ``forward_head(forward_features(transform(image)), pre_logits=True)`` of timm.

    Example:
        >>> import tempfile, timm, torch
        >>> file = tempfile.mkdtemp() + "/mine.pth"
        >>> torch.save(timm.create_model("resnet10t.c3_in1k").state_dict(), file)
        >>> TimmExtractor("resnet10t.c3_in1k", file)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).pool.shape
        torch.Size([1, 512])
    """

    def __init__(self, model: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> None:
        super().__init__(precision)
        self.name = f"timm/{model}"
        self.tag = re.sub(r"[^a-z0-9]+", "_", self.name.lower())
        timm = package_of("timm", self.name)
        config = _config(timm, model)
        self.preprocess = preprocess_of(config, self.name)
        self.resize = self.preprocess.name
        source = weights_of(config, self.name) if weights is None else weights
        state, digest = load_weights(source, inside=INSIDE)
        self.weights_id = digest[:PREFIX]
        self.network: Any = frozen_network(lambda: timm.create_model(model), state, self.name)
        num_features = getattr(self.network, "head_hidden_size", None) or self.network.num_features
        self.spec = Spec(num_features, self.network.num_classes or None)

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        pixels = fast_layout(self.preprocess(images), self.precision)
        with self.cast():
            found = self.network.forward_features(pixels)
            pool = self.network.forward_head(found, pre_logits=True)
            logits = self.network.forward_head(found).float() if self.spec.num_classes else None
        pool = pool.float().flatten(2).mean(2) if pool.ndim == 4 else pool.float()
        return Features(pool=pool.contiguous(), logits=logits)


class NamedTimmExtractor(TimmExtractor):
    """A network of timm under a short name: ``"convnextv2-base"``, ``"mae-vit-l16"`` or ``"siglip2-so400m"``.

    Args:
        name: of :data:`NAMED`.
        weights: as of :class:`TimmExtractor`.
        precision: as of :class:`TimmExtractor`.

    Papers: Woo et al., ConvNeXt V2, CVPR 2023; He et al., Masked autoencoders are scalable vision learners, CVPR 2022;
    Tschannen et al., SigLIP 2, 2025.
    """

    def __init__(self, name: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> None:
        super().__init__(NAMED[name], weights, precision)
        self.name, self.tag = name, name.replace("-", "_")


def preprocess_of(config: Any, name: str) -> Preprocess:
    """Return what timm's evaluation transform does, by a network's pretrained configuration.

    Raises:
        ValueError: where it is none of those that are known.
    """
    _, height, width = config.input_size
    resize = f"pil-{config.interpolation}"
    crop, share = config.crop_mode or "center", config.crop_pct or 0.875
    scale = {"mean": config.mean, "std": config.std}
    if height == width and resize in ("pil-bicubic", "pil-bilinear"):
        if crop == "squash" and share == 1:
            return Preprocess(height, resize, **scale)
        if crop in CROPS:
            return Preprocess(height, resize, CROPS[crop], math.floor(height / share), **scale)
    raise ValueError(
        f"{name}: expected a square input, cut out of the middle or squashed, bicubic or bilinear, got {height} x "
        f"{width}, {crop!r} of {share:g}, {config.interpolation!r}. Remedy: an nn.Module that prepares its images."
    )


def weights_of(config: Any, name: str) -> str:
    """Return the URL of the published weights.

    Raises:
        ValueError: where none are published.
    """
    if config.hf_hub_id:
        return f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
    if config.url:
        return config.url
    raise ValueError(f"{name}: expected published weights, found none. Remedy: weights= of a file.")


def _config(timm: Any, model: str) -> Any:
    """Return the pretrained configuration of a network; raise ValueError where there is none."""
    known = timm.list_pretrained()
    if model not in known:
        raise unknown(model, "network of timm", nearby=known, listed=[f"{len(known)} names, timm.list_pretrained()"])
    return timm.get_pretrained_cfg(model)
