"""VGG16: the features that precision and recall were published on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torchvision import models

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.preprocess import IMAGENET, of_channels
from streaming_metrics.extractors.resize import PIXELS, fast_layout
from streaming_metrics.extractors.weights import PREFIX, digest_of_name, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os

URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
SHA256 = "397923af"
"""The first digits, which the name of the file carries."""
SIDE, WIDTH = 224, 4096


class VGG16(Extractor):
    """VGG16 on ImageNet, ``fc2`` after its ReLU: features ``(N, 4096)``.

    ``PRDC(variant="improved", on=…)`` of it is the precision and recall of the paper.

    Args:
        weights: path or URL of torchvision's ``vgg16-397923af.pth`` or of one with the same tensors. Default: its URL.
        resize: a name of :data:`~streaming_metrics.extractors.resize.RESIZES`.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ValueError: unknown resize; weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: torch-fidelity's ``vgg16``, layer ``fc2_relu`` (``"tf1-bilinear"``). The authors' own has other weights.

    Paper: Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015.
    """

    name = "vgg16"
    tag = "vgg16"
    layer = "fc2_relu"

    def __init__(
        self, weights: str | os.PathLike[str] | None = None, resize: str = "tf1-bilinear", precision: str = "fp32"
    ) -> None:
        super().__init__(precision)
        self._resize, self.resize = lookup(PIXELS, resize, "resize"), f"{resize}-{SIDE}"
        source = URL if weights is None else weights
        state, digest = load_weights(source, digest_of_name(source, SHA256))
        self.weights_id = digest[:PREFIX]
        network: Any = frozen_network(models.vgg16, state, "VGG16")
        fc1, fc1_relu, _, fc2, fc2_relu = list(network.classifier)[:5]
        self.network = nn.Sequential(network.features, network.avgpool, nn.Flatten(), fc1, fc1_relu, fc2, fc2_relu)
        self.spec = Spec(WIDTH)

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        pixels = self._resize(images, SIDE)
        mean, std = (of_channels(of, pixels).mul(255) for of in IMAGENET)
        with self.cast():
            return Features(pool=self.network(fast_layout((pixels - mean) / std, self.precision)).float())
