"""HPSv2: cosine of a CLIP that was trained on human preferences, times 100.

X. Wu et al., "Human preference score v2: a solid benchmark for evaluating human preferences of text-to-image
synthesis", arXiv:2306.09341.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn.functional import cosine_similarity, interpolate, pad

from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.open_clip_network import OpenClipExtractor, Prepare
from streaming_metrics.extractors.preprocess import CLIP, of_channels
from streaming_metrics.extractors.scorer import SCORE
from streaming_metrics.extractors.weights import load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os

    from torch import Tensor

VERSIONS = {
    version: f"https://huggingface.co/xswu/HPSv2/resolve/main/{file}"
    for version, file in {"v2.0": "HPS_v2_compressed.pt", "v2.1": "HPS_v2.1_compressed.pt"}.items()
}
"""Addresses of the weights of each version."""
ARCHITECTURE = "ViT-H-14"
"""open_clip's name of the published one."""


class HPSv2(OpenClipExtractor):
    """HPSv2 of images for their captions: ``100·cos(image, text)`` by a CLIP ViT-H/14; about 20 to 30.

    Args:
        version: ``"v2.0"`` or ``"v2.1"``, whose scores do not compare.
        weights: path or URL of its file. Default: the authors' URL.
        architecture: of open_clip; named in signatures where it is not the published one.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`~streaming_metrics.extractors.Extractor`.

    Raises:
        ImportError: open_clip is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: unknown version; weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: ``hpsv2.score`` times 100, as its benchmark reports, in float32 where that runs in half precision on GPUs:
    the longer side is resized by torch's bicubic, antialiased as torchvision does since 0.17, and the rest is black.
    """

    def __init__(
        self,
        version: str = "v2.1",
        weights: str | os.PathLike[str] | None = None,
        architecture: str = ARCHITECTURE,
        precision: str = "fp32",
    ) -> None:
        url = lookup(VERSIONS, version, "version of HPSv2")
        state, digest = load_weights(url if weights is None else weights, inside=("state_dict",))
        self._make(f"hps{version}", architecture, state, digest, Prepare(), precision)
        self.layer = "pool" if architecture == ARCHITECTURE else architecture
        self.spec = Spec(widths={SCORE: 1})
        self.resize = f"torch-bicubic-padded-{self.preprocess.side}"

    def extract(self, images: Tensor, captions: tuple[str, ...] | None = None) -> Features:
        """Return the scores of images for their captions, ``(N, 1)``; no column where there are no captions."""
        if captions is None:
            return Features()
        network: Any = self.network
        with self.cast():
            image = network.encode_image(padded_input(images, self.preprocess.side)).float()
            text = network.encode_text(self.tokenize(list(captions)).to(images.device)).float()
        return Features(score=100 * cosine_similarity(image, text).unsqueeze(1))


def padded_input(images: Tensor, side: int) -> Tensor:
    """Return uint8 images as CLIP's input, their longer side resized and the rest black, float32
    ``(N, 3, side, side)``.
    """
    pixels, scale = images.float() / 255, side / max(images.shape[-2:])
    if scale != 1:
        height, width = (round(size * scale) for size in images.shape[-2:])
        pixels = interpolate(pixels, (height, width), mode="bicubic", align_corners=False, antialias=True)
        left, above = (side - width) // 2, (side - height) // 2
        pixels = pad(pixels, (left, side - width - left, above, side - height - above))
    mean, std = (of_channels(of, pixels) for of in CLIP)
    return (pixels - mean) / std
