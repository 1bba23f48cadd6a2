"""CLIP as OpenAI trained it, and any network of open_clip: embeddings of images, and of their captions."""

from __future__ import annotations

import io
import logging
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.names import lookup, package_of, unknown
from streaming_metrics.extractors.preprocess import CLIP as CLIP_SCALE
from streaming_metrics.extractors.preprocess import Preprocess
from streaming_metrics.extractors.weights import PREFIX, checked_bytes, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

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


class OpenClipExtractor(Extractor):
    """A network of open_clip: pool is the embedding of the image, not normalised; ``text`` that of its caption.

    Captions are read where they come beside images, and are needed only by measures of ``text``.

    Args:
        model: a name of ``open_clip.list_models()``: ``"ViT-B-32"``.
        weights: path or URL of a ``state_dict`` in open_clip's names.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: open_clip is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: no such network; no weights given; weights that are damaged or of another.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: ``encode_image`` and ``encode_text`` of open_clip, after its own transform and tokenizer.
    """

    reads_captions = True

    def __init__(self, model: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> None:
        name = f"open_clip/{model}"
        if weights is None:
            raise ValueError(
                f"{name}: expected weights=, for several were published of one network, got none. Remedy: the path or "
                "URL of open_clip_model.safetensors of those that you mean."
            )
        state, digest = load_weights(weights)
        self._make(name, model, state, digest, "clip", precision)

    def _make(
        self, name: str, architecture: str, state: dict[str, Tensor], digest: str, resize: str, precision: str
    ) -> None:
        super().__init__(precision)
        open_clip = package_of("open_clip", name)
        if architecture not in (known := open_clip.list_models()):
            raise unknown(architecture, "network of open_clip", nearby=known, listed=["open_clip.list_models()"])
        self.name, self.tag = name, re.sub(r"[^a-z0-9]+", "_", name.lower())
        self.weights_id = digest[:PREFIX]
        with _without_its_log():
            network: Any = frozen_network(
                lambda: open_clip.create_model(architecture, load_weights=False), _of_network(state), name
            )
        self.network: nn.Module = network
        self.preprocess = _preprocess(network.visual, lookup(RESIZES, resize, "resize of clip"))
        self.resize = self.preprocess.name
        self.tokenize: Any = open_clip.get_tokenizer(architecture)
        self.spec = Spec(network.visual.output_dim, widths={"text": network.visual.output_dim})

    def extract(self, images: Tensor, captions: tuple[str, ...] | None = None) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)``, and of their captions where these came."""
        network: Any = self.network
        with self.cast():
            pool = network.encode_image(self.preprocess(images)).float()
            if captions is None:
                return Features(pool=pool)
            tokens = self.tokenize(list(captions)).to(pool.device)
            return Features(pool=pool, text=network.encode_text(tokens).float())


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
        self._make(name, published.architecture, state, digest, resize or published.resize, precision)


def _openai_tensors(source: str | os.PathLike[str], published: Published) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a file: of OpenAI's, which is a program, only if it is the published one, bit for bit."""
    content, digest, _ = checked_bytes(source, published.sha256 if str(source) == published.url else None)
    if digest != published.sha256:
        return load_weights(source)
    with torch.inference_mode(False), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is kept, and goes no further
        return dict(torch.jit.load(io.BytesIO(content), map_location="cpu").state_dict()), digest


def _of_network(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name not in OF_ITS_CONSTRUCTION}


def _preprocess(visual: Any, crop: Crop) -> Preprocess:
    side = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
    mean: Any = tuple(visual.image_mean or CLIP_SCALE[0])
    std: Any = tuple(visual.image_std or CLIP_SCALE[1])
    return Preprocess(side, "pil-bicubic", crop, side if crop == "shorter" else None, mean, std)


@contextmanager
def _without_its_log() -> Iterator[None]:
    """Keep open_clip from warning that the weights are random, which they are not for long."""
    log, handler = logging.getLogger(), logging.NullHandler()
    level = log.level
    log.addHandler(handler)  # without any, the first line would set the log up
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
