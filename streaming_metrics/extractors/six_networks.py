"""The six networks of FDr6, as its authors run them: one extractor, a column each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.inception import URL, InceptionV3
from streaming_metrics.extractors.names import package_of
from streaming_metrics.extractors.preprocess import adm_crop, of_channels
from streaming_metrics.extractors.resize import fast_layout, tf1_aligned
from streaming_metrics.extractors.timm_network import weights_of
from streaming_metrics.extractors.weights import PREFIX, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os

    from streaming_metrics.extractors.preprocess import Rgb

SIDE = 256
"""Pixels of the images that all six see."""
FILE = "weights-inception-2015-12-05-6726825d.pth"


@dataclass(frozen=True)
class Part:
    """One of the networks of timm.

    Args:
        column: of its features.
        model: timm's name.
        side: pixels of its input, which need not be those that it was trained on.
    """

    column: str
    model: str
    side: int


PARTS = (
    Part("convnext", "convnextv2_base.fcmae_ft_in22k_in1k", 224),
    Part("dinov2", "vit_large_patch14_dinov2.lvd142m", 256),
    Part("mae", "vit_large_patch16_224.mae", 224),
    Part("siglip", "vit_so400m_patch16_siglip_256.v2_webli", 224),
    Part("clip", "vit_large_patch14_clip_224.openai", 256),
)
"""The networks beside the Inception. Of inputs that patches of 14 do not divide the rest is padded."""


@dataclass(frozen=True)
class Input:
    """Input of a network, of square images on [0, 1]: resized there, whose last bits bfloat16 shows.

    Args:
        side: pixels.
        mean, std: of channels.
    """

    side: int
    mean: Rgb
    std: Rgb

    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[-1] != self.side:
            size = self.side, self.side
            images = interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
        mean, std = of_channels(self.mean, images), of_channels(self.std, images)
        return (images - mean) / std


class SixNetworks(Extractor):
    """The six networks of FDr6: columns ``inception``, ``convnext``, ``dinov2``, ``mae``, ``siglip`` and ``clip``.

    The middle 256 pixels square of an image are cut out as guided-diffusion does, once. The Inception takes them by
    TensorFlow's bilinear resize, on [−1, 1], in float32. The others, of timm, by an antialiased bicubic one that is
    not rounded (224 pixels; 256 for DINOv2 and CLIP, which is none), on their own means and deviations, under
    bfloat16's autocast: the class token; of ConvNeXt the mean over space before the last norm, of SigLIP 2 the
    attention pool. They are 1.45 billion parameters, 5.8 GB.

    Args:
        weights: a folder of the six files: ``weights-inception-2015-12-05-6726825d.pth``, and of each of
            :data:`PARTS` ``<model>.safetensors``. Default: torch-fidelity's URL, and the published ones of timm.
        precision: of the five: ``"bf16"`` is the definition; ``"fp32"`` or ``"tf32"`` are variants, which the
            signature names.

    Raises:
        ImportError: timm is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: ``eval_all_fds.py`` of the authors, on images of 8 bits.

    Paper: Yang et al., Representation Fréchet loss for visual generation, 2026.

    Example:
        >>> extractor = SixNetworks("folder/of/weights")  # doctest: +SKIP
    """

    name = "fdr6"
    tag = "six_networks"
    layer = "pool"

    def __init__(self, weights: str | os.PathLike[str] | None = None, precision: str = "bf16") -> None:
        super().__init__(precision)
        folder = None if weights is None else Path(weights).expanduser()
        self.resize = f"adm-{SIDE}"
        self.inception = _UnitInception(URL if folder is None else folder / FILE)
        self.networks, digests = nn.ModuleDict(), [self.inception.weights_id]
        self.inputs: dict[str, Input] = {}
        for part in PARTS:
            config = _timm().get_pretrained_cfg(part.model)
            source = weights_of(config, part.model) if folder is None else folder / f"{part.model}.safetensors"
            state, digest = load_weights(source)
            self.networks[part.column] = network_of(part.model, state)
            self.inputs[part.column] = Input(part.side, config.mean, config.std)
            digests.append(digest)
        self.weights_id = hashlib.sha256("".join(digests).encode()).hexdigest()[:PREFIX]
        widths = {column: int(network.num_features) for column, network in self._each()}
        self.spec = Spec(widths={"inception": self.inception.spec.num_features or 0, **widths})

    def extract(self, images: Tensor) -> Features:
        """Return the columns of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        images = adm_crop(images, SIDE)
        columns = {"inception": self.inception.extract(images).pool}
        images = images.float() / 255
        with self.cast():
            for column, network in self._each():
                pixels = fast_layout(self.inputs[column](images), self.precision)
                columns[column] = pooled(network, network.forward_features(pixels)).float().contiguous()
        return Features(**columns)

    def _each(self) -> list[tuple[str, Any]]:
        return list(self.networks.items())


class _UnitInception(InceptionV3):
    """The Inception on [−1, 1], where 255 is 1: others take ``(x − 128) / 128``."""

    def __init__(self, weights: str | os.PathLike[str]) -> None:
        super().__init__(weights)
        self._resize = _on_unit_range
        self.resize = "tf1-bilinear-unit-299"


def _on_unit_range(images: Tensor, side: int) -> Tensor:
    return tf1_aligned(images, side) / 127.5 - 1


def network_of(model: str, state: dict[str, Tensor]) -> nn.Module:
    """Return a network of timm without its classifier, on inputs of any size where it has patches.

    Raises:
        ValueError: where the tensors are of another network.
    """
    classifier = _timm().get_pretrained_cfg(model).classifier
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(f"{classifier}.")}
    patches = {"dynamic_img_size": True, "dynamic_img_pad": True} if "pos_embed" in kept else {}
    return frozen_network(lambda: _timm().create_model(model, num_classes=0, **patches), kept, model)


def pooled(network: Any, found: Tensor) -> Tensor:
    """Return ``(N, D)`` of what a network of timm makes of images: the mean of a map, the attention pool of patches
    alone, else the first token.

    Example:
        >>> import torch
        >>> pooled(None, torch.ones(2, 8, 3, 3)).shape
        torch.Size([2, 8])
    """
    if found.ndim == 4:
        return found.mean((2, 3))
    if not network.num_prefix_tokens and network.attn_pool is not None:
        return network.attn_pool(found)
    return found[:, 0]


def _timm() -> Any:
    return package_of("timm", SixNetworks.name)
