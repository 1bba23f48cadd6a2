"""CLIP as OpenAI trained it: embeddings of images, and of their captions."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.open_clip_network import OpenClipExtractor, Prepare
from streaming_metrics.extractors.weights import checked_bytes, load_weights

if TYPE_CHECKING:
    import os

    from streaming_metrics.extractors.preprocess import Crop


@dataclass(frozen=True)
class Published:
    """A file that OpenAI published.

    Args:
        architecture: open_clip's name.
        file: its name.
        sha256: of the file.
        resize: of :data:`RESIZES`, unless told otherwise.
    """

    architecture: str
    file: str
    sha256: str
    resize: str = "clip"

    @property
    def url(self) -> str:
        return f"https://openaipublic.azureedge.net/clip/models/{self.sha256}/{self.file}.pt"


PUBLISHED = {
    "clip-vit-b32": Published(
        "ViT-B-32-quickgelu", "ViT-B-32", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
    ),
    "clip-vit-l14": Published(
        "ViT-L-14-quickgelu", "ViT-L-14", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
    ),
    "clip-vit-l14-336": Published(
        "ViT-L-14-336-quickgelu",
        "ViT-L-14-336px",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        resize="cmmd",
    ),
}
"""OpenAI's networks; the largest is CMMD's, whose preprocessing it has unless told otherwise."""
RESIZES: dict[str, Crop] = {"clip": "shorter", "cmmd": "square"}
"""Crops by the names of protocols: CLIP resizes the shorter side and cuts out the middle; CMMD cuts out the largest
square first."""
OF_ITS_CONSTRUCTION = ("input_resolution", "context_length", "vocab_size")
"""What OpenAI's files hold beside tensors of the network."""


class CLIP(OpenClipExtractor):
    """CLIP of OpenAI: embeddings of images, ``(N, 512)`` of ViT-B/32, ``(N, 768)`` of ViT-L/14 and ViT-L/14 at 336.

    Args:
        name: ``"clip-vit-b32"``, ``"clip-vit-l14"`` or ``"clip-vit-l14-336"``.
        weights: path or URL of OpenAI's file, known by its sha256, or of a ``state_dict`` in the same names. Default:
            OpenAI's URL.
        resize: ``"clip"``, as CLIP was trained: the shorter side is resized, the middle cut out; ``"cmmd"``: the
            largest square is cut out first; the default of ``"clip-vit-l14-336"``, CMMD's network.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: open_clip is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: unknown resize; weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: ``clip.load(…)`` of OpenAI, and torch-fidelity's CLIP on the same pixels.

    Paper: Radford et al., Learning transferable visual models from natural language supervision, ICML 2021.
    """

    def __init__(
        self,
        name: str = "clip-vit-l14-336",
        weights: str | os.PathLike[str] | None = None,
        resize: str | None = None,
        precision: str = "fp32",
    ) -> None:
        published = PUBLISHED[name]
        state, digest = _openai_tensors(published.url if weights is None else weights, published)
        crop = lookup(RESIZES, resize or published.resize, "resize of clip")
        state = {name: tensor for name, tensor in state.items() if name not in OF_ITS_CONSTRUCTION}
        self._make(name, published.architecture, state, digest, prepare=Prepare(crop), precision=precision)


def _openai_tensors(source: str | os.PathLike[str], published: Published) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a file: of OpenAI's, which is a program, only if it is the published one, bit for bit."""
    content, digest, _ = checked_bytes(source, published.sha256 if str(source) == published.url else None)
    if digest != published.sha256:
        return load_weights(source)
    with torch.inference_mode(False), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is kept, and goes no further
        return dict(torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()), digest
