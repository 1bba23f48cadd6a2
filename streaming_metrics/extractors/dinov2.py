"""DINOv2: the features of the Fréchet distance that follows people's judgement more closely than Inception's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.names import lookup, package_of
from streaming_metrics.extractors.preprocess import Preprocess
from streaming_metrics.extractors.weights import PREFIX, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os

URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_{size}/dinov2_{size}_pretrain.pth"
ARCHITECTURES = {"vits14": "vit_small", "vitb14": "vit_base", "vitl14": "vit_large", "vitg14": "vit_giant"}
"""timm's names of the architectures, but for what all end in."""
SIDE, GRID = 224, 16
OFFSET = 0.1
"""What the authors add to the grid before they divide, so that rounding does not lose a row; it moves features."""
RESIZES = {"pil-bicubic": "pil-bicubic", "edm2-bicubic": "torch-bicubic"}
"""Samplers by the names of protocols: dgm-eval's and EDM2's."""
RENAMED = {"mlp.w12.": "mlp.fc1.", "mlp.w3.": "mlp.fc2."}
"""Names of the largest network's layers in the published file, and in timm."""


class DINOv2(Extractor):
    """DINOv2 without registers: the class token after the last norm, ``(N, 384)`` to ``(N, 1536)``.

    FD-DINOv2 is FID of ``"dinov2-vitl14"``, which is named ``fd_dinov2_vitl14``.

    Args:
        name: ``"dinov2-vits14"``, ``-vitb14``, ``-vitl14`` or ``-vitg14``.
        weights: path or URL of the published file ``dinov2_vitl14_pretrain.pth`` or of one with the same tensors; or of
            timm's. Default: Meta's URL.
        resize: ``"pil-bicubic"``, dgm-eval's: Pillow, rounded; ``"edm2-bicubic"``: torch, antialiased, not rounded.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: timm is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: unknown resize; weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: dgm-eval, which runs ``torch.hub.load("facebookresearch/dinov2", "dinov2_vitl14")`` at 224 pixels: position
    embeddings are interpolated as there, not as in timm.

    Paper: Oquab et al., DINOv2: Learning robust visual features without supervision, TMLR 2024; as features: Stein et
    al., Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion models, NeurIPS
    2023.

    Example:
        >>> extractor = DINOv2("dinov2-vits14", "dinov2_vits14_pretrain.pth")  # doctest: +SKIP
    """

    def __init__(
        self,
        name: str = "dinov2-vitl14",
        weights: str | os.PathLike[str] | None = None,
        resize: str = "pil-bicubic",
        precision: str = "fp32",
    ) -> None:
        super().__init__(precision)
        size = name.removeprefix("dinov2-")
        architecture = f"{lookup(ARCHITECTURES, size, 'size of dinov2')}_patch14_dinov2"
        timm = package_of("timm", name)
        self.name, self.tag = name, name.replace("-", "_")
        self.preprocess = Preprocess(SIDE, lookup(RESIZES, resize, "resize of dinov2"))
        self.resize = f"{resize}-{SIDE}"
        state, digest = load_weights(URL.format(size=size) if weights is None else weights)
        self.weights_id = digest[:PREFIX]
        network: Any = frozen_network(lambda: timm.create_model(architecture, img_size=SIDE), as_timm(state), name)
        self.network: nn.Module = network
        self.spec = Spec(network.num_features)

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        with self.cast():
            return Features(pool=self.network(self.preprocess(images)).float().contiguous())


def as_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the published tensors by timm's names, the position embeddings those of 224 pixels."""
    found = {name: tensor for name, tensor in state.items() if name != "mask_token"}
    for theirs, ours in RENAMED.items():
        found = {name.replace(theirs, ours): tensor for name, tensor in found.items()}
    if "pos_embed" in found:
        found["pos_embed"] = at_grid(found["pos_embed"])
    return found


def at_grid(embeddings: Tensor) -> Tensor:
    """Return position embeddings ``(1, 1 + 16·16, D)`` of those of another square grid, as the authors interpolate."""
    rows = round((embeddings.shape[1] - 1) ** 0.5)
    if rows == GRID:
        return embeddings
    token, patches = embeddings[:, :1].float(), embeddings[:, 1:].float()
    square = patches.unflatten(1, (rows, rows)).permute(0, 3, 1, 2)
    factor = (GRID + OFFSET) / rows
    with torch.inference_mode(False):
        square = interpolate(square, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([token, square.flatten(2).transpose(1, 2)], dim=1)
