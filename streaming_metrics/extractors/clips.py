"""Extractors of clips: what networks of video share, and the resizes of their protocols."""

from __future__ import annotations

from abc import abstractmethod
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.features import Features

if TYPE_CHECKING:
    from streaming_metrics.images.conversion import Takes
    from streaming_metrics.images.window import Window

SIDE = 224
AT_ONCE, AT_ONCE_ON_A_GPU = 2, 16
"""Clips that go through a network at a time, whatever the batch: one of 16 frames takes the room of 16 images."""


class ClipExtractor(Extractor):
    """Frozen network from uint8 clips ``(N, T, 3, H, W)`` to :class:`Features`.

    A subclass sets what an :class:`Extractor` has, and :attr:`window`; it implements :meth:`look`, which takes clips of
    as many frames as the window has.
    """

    takes: Takes = "clips"
    window: Window  # pyright: ignore[reportIncompatibleVariableOverride]

    @abstractmethod
    def look(self, clips: Tensor) -> Features:
        """Return the features of uint8 clips ``(n, frames, 3, H, W)``, few at a time."""

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 clips ``(N, T, 3, H, W)`` on this extractor's device.

        Raises:
            ValueError: where the clips have fewer frames than the window.
        """
        at_once = AT_ONCE if self.device.type == "cpu" else AT_ONCE_ON_A_GPU
        parts = [self.look(some).columns() for some in self.window.of(images).split(at_once)]
        return Features(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def cropped(clips: Tensor, side: int = SIDE) -> Tensor:
    """Return uint8 clips ``(N, T, 3, H, W)`` as float32 ``(N, 3, T, side, side)`` in [0, 1]: the shorter side to
    ``side``, bilinear at pixel centres without antialias, then the centre.

    The longer side is rounded up as the parity target rounds it. Parity: ``fvd/styleganv`` of
    common_metrics_on_video_quality, StyleGAN-V's I3D outside of its training code.

    Example:
        >>> cropped(torch.zeros(2, 4, 3, 32, 48, dtype=torch.uint8)).shape
        torch.Size([2, 3, 4, 224, 224])
    """
    height, width = clips.shape[-2:]
    scale = side / min(height, width)
    size = (side, ceil(width * scale)) if height < width else (ceil(height * scale), side)
    frames = interpolate(clips.flatten(0, 1).float() / 255, size=size, mode="bilinear", align_corners=False)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return _frames_second(frames[..., top : top + side, left : left + side], len(clips))


def stretched(clips: Tensor, side: int = SIDE) -> Tensor:
    """Return uint8 clips ``(N, T, 3, H, W)`` as float32 ``(N, 3, T, side, side)`` in [0, 1]: both sides to ``side``,
    bilinear at pixel centres without antialias. Parity: cd-fvd.

    Example:
        >>> stretched(torch.zeros(2, 4, 3, 32, 48, dtype=torch.uint8)).shape
        torch.Size([2, 3, 4, 224, 224])
    """
    frames = interpolate(clips.flatten(0, 1).float() / 255, size=(side, side), mode="bilinear", align_corners=False)
    return _frames_second(frames, len(clips))


def _frames_second(frames: Tensor, n: int) -> Tensor:
    """Return frames ``(N·T, 3, H, W)`` as ``(N, 3, T, H, W)``, contiguous."""
    return frames.unflatten(0, (n, -1)).transpose(1, 2).contiguous()
