"""I3D: the network of the Fréchet video distance, 400 logits of Kinetics, as StyleGAN-V's TorchScript file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.extractors.clips import SIDE, ClipExtractor, cropped
from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.script import Script
from streaming_metrics.extractors.weights import PREFIX, checked_bytes, digest_of_name
from streaming_metrics.features import Features, Spec
from streaming_metrics.images.window import Window

if TYPE_CHECKING:
    import os

    from torch import Tensor

SHA256 = "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"
URL = "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1"
LOGITS = 400
LEAST = 10
"""Frames below which its pooling over time has nothing to pool."""
CALLED = ("rescale", "resize", "return_features")
PROTOCOLS = {"styleganv": "i3d", "videogpt": "i3d-videogpt"}
"""Name of the extractor by protocol."""


class I3D(ClipExtractor):
    """Inflated 3D ConvNet, trained on Kinetics-400: its 400 logits, which the Fréchet video distance is taken of.

    Frames are brought to 224 × 224 (the shorter side, bilinear without antialias, then the centre) and to [−1, 1], and
    the network is called with ``rescale=False, resize=False, return_features=True``. ``"styleganv"`` and ``"videogpt"``
    differ in what they do to floats, and are named apart for that: the first leaves them, the second cuts them to 8
    bits. Samples here have 8 bits: of those both see the same, and floats are rounded when they come in. The code that
    ``"videogpt"`` is named after loads another file, ``i3d_pretrained_400.pt``, into a network of its own; here its
    steps are taken with this one.

    The file is TorchScript, a program that loading runs. It is taken of an address only with the sha256 of the
    published one; a local path that you give is loaded as it is.

    Args:
        protocol: ``"styleganv"`` or ``"videogpt"``.
        weights: a local path, or an address of the published file. Default: StyleGAN-V's address.
        frames: that a clip is looked at with, its first; at least 10.
        stride: from one of these frames to the next.
        fps: see :class:`~streaming_metrics.images.window.Window`.
        precision: ``"fp32"`` or ``"tf32"``.

    Raises:
        ValueError: an unknown protocol; too few frames; a file of another sha256 or of another network; ``"bf16"``.
        FileNotFoundError, ConnectionError: a file that cannot be had.

    Paper: Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017; the TorchScript file is of Skorokhodov et
    al., StyleGAN-V, CVPR 2022. Parity: ``fvd/styleganv`` of common_metrics_on_video_quality.

    Example:
        >>> import torch
        >>> extractor = I3D(weights="i3d_torchscript.pt")  # doctest: +SKIP
        >>> extractor(torch.zeros(2, 16, 3, 64, 64, dtype=torch.uint8)).pool.shape  # doctest: +SKIP
        torch.Size([2, 400])
    """

    def __init__(
        self,
        protocol: str = "styleganv",
        weights: str | os.PathLike[str] | None = None,
        frames: int = 16,
        stride: int = 1,
        fps: float | None = None,
        precision: str = "fp32",
    ) -> None:
        super().__init__(precision)
        self.name = lookup(PROTOCOLS, protocol, "protocol of i3d")
        self.tag = self.name.replace("-", "_")
        self.window = Window(frames, stride, fps)
        if frames < LEAST:
            raise ValueError(f"frames: expected at least {LEAST}, which the network pools over, got {frames}.")
        if precision == "bf16":
            raise ValueError("precision: expected 'fp32' or 'tf32' of a TorchScript network, got 'bf16'.")
        source = URL if weights is None else weights
        needed = SHA256 if "://" in str(source) else digest_of_name(source, SHA256)
        content, digest, path = checked_bytes(source, needed)
        self.weights_id = digest[:PREFIX]
        self.resize = f"{protocol}-{SIDE}-{self.window.name}"
        self.network = Script(content, str(path), CALLED)
        self.spec = Spec(LOGITS)

    def look(self, clips: Tensor) -> Features:
        """Return the logits of uint8 clips ``(n, frames, 3, H, W)``."""
        pool = self.network((cropped(clips) - 0.5) * 2, rescale=False, resize=False, return_features=True)
        if pool.shape != (len(clips), LOGITS):
            raise ValueError(
                f"i3d: expected logits ({len(clips)}, {LOGITS}), got {tuple(pool.shape)} of another network."
            )
        return Features(pool=pool.float())
