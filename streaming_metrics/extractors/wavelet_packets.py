"""Wavelet packets: an extractor without a network, the Haar wavelet packets of an image's pixels.

R. R. Coifman, M. V. Wickerhauser, "Entropy-based algorithms for best basis selection", IEEE Transactions on Information
Theory 1992, whose packets L. Veeramacheneni, M. Wolter, H. Kuehne, J. Gall, "Fréchet wavelet distance: a
domain-agnostic metric for image generation", ICLR 2025, compare. Parity target: PyWavelets' ``WaveletPacket2D``.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import torch
from torch import Tensor

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.features import ANY_WIDTH, Features, Spec

LEVEL = 4
SIDE = 2**LEVEL
"""Pixels of a block's side: of each, every packet has one coefficient."""
PACKETS = 4**LEVEL
WHITE = 255.0
AT_ONCE = 1 << 20
"""Pixels that a CPU transforms at a time, so that copies of them stay in its cache."""


class WaveletPackets(Extractor):
    """Haar wavelet packets of level 4, of images whose sides are multiples of 16; no weights, no resize.

    The column ``packets`` is ``(N, 3·H·W)``: 256 packets one after another, in the natural order of their paths
    (``aaaa``, ``aaah``, …, ``dddd``), each of 3·(H/16)·(W/16) coefficients, of pixels in [0, 1]. The transform is
    orthonormal: no number is lost. All images of a metric must be of one size, which the column ``sides (N, 2)`` tells:
    height and width.

    Coefficients are sums of whole grey levels, exact in float32 whatever the device and the batch, and rounded once,
    where they are scaled.

    Args:
        precision: taken since networks share it, and without effect: all is float32.

    Raises:
        ValueError: of images with a side that is no multiple of 16.

    Example:
        >>> white = torch.full((1, 3, 16, 32), 255, dtype=torch.uint8)
        >>> packets = WaveletPackets()(white).packets.view(1, 256, 3, 1, 2)
        >>> packets[0, 0, 0].tolist(), packets[0, 1:].abs().max().item()
        ([[16.0, 16.0]], 0.0)
    """

    name = "wavelet-packets"
    tag = "haar4"
    weights_id = "1"
    resize = "native"
    signs: Tensor
    scale: Tensor

    def __init__(self, precision: str = "fp32") -> None:
        super().__init__(precision)
        self.precision = "fp32"
        self.spec = Spec(widths={"packets": ANY_WIDTH, "sides": 2})
        self.register_buffer("signs", torch.tensor(_signs(), device="cpu"))
        self.register_buffer("scale", torch.tensor(SIDE * WHITE, device="cpu"))  # a number would be inverted on GPUs

    def extract(self, images: Tensor) -> Features:
        """Return the packets of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        height, width = images.shape[2:]
        if height % SIDE or width % SIDE:
            raise ValueError(
                f"wavelet-packets: expected images whose sides are multiples of {SIDE}, got {height} by {width}; "
                f"nothing was added. Remedy: crop or resize both sides' images, e.g. to {_nearest(height)} by "
                f"{_nearest(width)}."
            )
        at_once = max(1, AT_ONCE // images[0].numel()) if self.device.type == "cpu" else len(images)
        sides = images.new_empty(len(images), 2, dtype=torch.float32)
        sides[:, 0], sides[:, 1] = height, width
        return Features(packets=torch.cat([self._packets(some) for some in images.split(at_once)]), sides=sides)

    def _packets(self, images: Tensor) -> Tensor:
        n, colours, height, width = images.shape
        blocks = images.view(n, colours, height // SIDE, SIDE, width // SIDE, SIDE).permute(0, 1, 2, 4, 3, 5)
        sums = blocks.reshape(-1, SIDE * SIDE).float() @ self.signs
        return (sums / self.scale).view(n, -1, PACKETS).transpose(1, 2).flatten(1)


@cache
def _signs() -> list[list[float]]:
    """Return the sign of each pixel of a block, row by row, in each packet: ``(256, 256)``.

    A filter a level and axis adds or subtracts neighbours: along an axis, coefficients by the path ``b₁b₂b₃b₄`` are
    ``Σ_j Π_l (−1)^(b_l·j_l)·x_j / 4``, with j₁ the last bit of j. A packet's letters are a, h, v, d: ``2`` of the bits
    of one level, down first.
    """
    paths = [[(letter & 1, letter >> 1) for letter in letters] for letters in product(range(4), repeat=LEVEL)]
    bits = [[place >> level & 1 for level in range(LEVEL)] for place in range(SIDE)]
    return [
        [(-1.0) ** sum(d * j + a * i for (d, a), j, i in zip(path, bits[down], bits[across])) for path in paths]
        for down, across in product(range(SIDE), repeat=2)
    ]


def _nearest(side: int) -> int:
    return max(1, round(side / SIDE)) * SIDE
