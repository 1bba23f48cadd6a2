"""Low-level image statistics: an extractor without a network, which describes the pixels of each image.

Luminance and its contrast; colourfulness: D. Hasler, S. Süsstrunk, "Measuring colourfulness in natural images", Human
Vision and Electronic Imaging 2003; the power spectrum's slope: A. Torralba, A. Oliva, "Statistics of natural image
categories", Network 2003, and of generated images Y. Zeng, H. Lu, A. Borji, "Statistics of deep generated images",
2017; gradients, and sharpness as M. Mathieu, C. Couprie, Y. LeCun, "Deep multi-scale video prediction beyond mean
square error", ICLR 2016, sum them. Parity target: the same definitions in NumPy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.features import Features, Spec

GRADIENT_BINS = 18
"""Bins of gradient magnitudes up to 255·√2: the one numbered b is around ``2^(b/2) − 1`` grey levels."""
WIDTHS = {
    "luminance": 1,
    "contrast": 1,
    "colourfulness": 1,
    "spectrum_slope": 1,
    "sharpness": 1,
    "gradients": GRADIENT_BINS,
}
"""Columns of :class:`LowLevel`, and their widths."""
LUMA = (299.0, 587.0, 114.0)
"""Thousandths of red, green and blue in a grey level (ITU-R BT.601); whole numbers, whose sum float32 holds."""
ROUNDING = 1 / 12
"""Power of the noise that rounding to whole grey levels makes: below it a spectrum says nothing."""
HALF = 0.5 + 1e-9
"""What makes of rounding down one to the nearest; 1e-9 is beyond the rounding of float64, which would decide halves."""
AT_ONCE = 1 << 18
"""Pixels that a CPU describes at a time, so that what is made of them stays in its cache."""


class LowLevel(Extractor):
    """Low-level statistics of images of any size, in columns of :class:`Features`; no weights, no resize.

    With Y the grey levels 0.299 R + 0.587 G + 0.114 B, rounded to 0 … 255 as in a grey picture of 8 bits:

    - ``luminance``: mean of Y.
    - ``contrast``: standard deviation of Y (RMS contrast), in [0, 127.5].
    - ``colourfulness``: ``√(σ²rg + σ²yb) + 0.3·√(μ²rg + μ²yb)`` with rg = R − G, yb = (R + G)/2 − B; 0 where grey, less
      than 300.
    - ``spectrum_slope``: slope of log power on log frequency, by least squares over rings of one cycle an image (of
      its longer side) up to half a cycle a pixel; about −2 of natural images, 0 of white noise. A ring's power is the
      mean of its |DFT|² / (H·W), without a window, plus 1/12, the power of rounding to grey levels: the flatter a
      picture, the nearer to 0, and 0 where it is constant, or less than 4 pixels wide and high.
    - ``sharpness``: mean of |∂x| + |∂y|, grey levels a pixel; ∂ is the difference to the pixel before, 0 at the border.
    - ``gradients``: ``(N, 18)``, share of pixels by √(∂x² + ∂y²), in bins around ``2^(b/2) − 1``.

    Args:
        precision: taken since networks share it, and without effect: all is float32.

    Example:
        >>> grey = torch.full((1, 3, 16, 16), 100, dtype=torch.uint8)
        >>> features = LowLevel()(grey)
        >>> features.luminance.item(), features.contrast.item(), features.spectrum_slope.item()
        (100.0, 0.0, 0.0)
    """

    name = "low-level"
    tag = "pixels"
    weights_id = "1"
    resize = "native"
    luma: Tensor

    def __init__(self, precision: str = "fp32") -> None:
        super().__init__(precision)
        self.precision = "fp32"
        self.spec = Spec(widths=WIDTHS)
        self.register_buffer("luma", torch.tensor(LUMA, device="cpu").view(3, 1, 1))  # it knows its device by it

    def extract(self, images: Tensor) -> Features:
        """Return the columns of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        at_once = max(1, AT_ONCE // images[0, 0].numel()) if self.device.type == "cpu" else len(images)
        parts = [self._described(some.float()) for some in images.split(at_once)]
        return Features(**{name: torch.cat([part[name] for part in parts]) for name in WIDTHS})

    def _described(self, images: Tensor) -> dict[str, Tensor]:
        """Return each column of float32 images."""
        grey = ((images * self.luma).sum(1) / 1000).round()
        across, down = differences(grey)
        scalars = {
            "luminance": _mean(grey),
            "contrast": _variance(grey).sqrt(),
            "colourfulness": colourfulness(images),
            "spectrum_slope": spectrum_slope(grey),
            "sharpness": _mean(across.abs() + down.abs()),
        }
        columns = {name: values.unsqueeze(1) for name, values in scalars.items()}
        return columns | {"gradients": gradient_histogram(across, down)}


def differences(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences of ``(…, H, W)`` to the pixel before, across and down, 0 at the border."""
    return pad(grey.diff(dim=-1), (1, 0)), pad(grey.diff(dim=-2), (0, 0, 1, 0))


def colourfulness(images: Tensor) -> Tensor:
    """Return the colourfulness ``(N,)`` of float images ``(N, 3, H, W)`` in [0, 255].

    Example:
        >>> red_and_green = torch.tensor([[255.0, 0], [0, 255], [0, 0]]).view(1, 3, 1, 2)
        >>> colourfulness(red_and_green)  # 255 + 0.3 · 127.5
        tensor([293.2500])
    """
    red, green, blue = images.unbind(1)
    opponents = red - green, (red + green) / 2 - blue
    spread = torch.stack([_variance(one) for one in opponents]).sum(0).sqrt()
    return spread + 0.3 * torch.stack([_mean(one).square() for one in opponents]).sum(0).sqrt()


def gradient_histogram(across: Tensor, down: Tensor) -> Tensor:
    """Return the share of pixels ``(N, 18)`` in each bin of gradient magnitude, of differences ``(N, H, W)``."""
    magnitude = (across.square() + down.square()).sqrt()
    place = (2 * (magnitude + 1).log2()).round().long().flatten(1)
    n, pixels = place.shape
    place += GRADIENT_BINS * torch.arange(n, device=place.device).unsqueeze(1)
    return torch.bincount(place.flatten(), minlength=n * GRADIENT_BINS).view(n, GRADIENT_BINS) / pixels


def spectrum_slope(grey: Tensor) -> Tensor:
    """Return the slope ``(N,)`` of log power on log frequency of grey levels ``(N, H, W)``."""
    height, width = grey.shape[1:]
    rings = rings_of(height, width, grey.device)
    spectrum = torch.fft.rfft2(grey - _mean(grey).view(-1, 1, 1))
    power = (spectrum.real.square() + spectrum.imag.square()).flatten(1) / (height * width)
    of_rings = power.index_select(1, rings.members.flatten()).view(len(grey), *rings.shares.shape)
    power = (of_rings * rings.shares).sum(-1)
    return (power / ROUNDING).log1p() @ rings.fit  # log(power + ROUNDING), up to what has no slope


class Rings(NamedTuple):
    """Rings of equal frequency in half a spectrum, by their number 1 to K, padded to M frequencies each.

    Args:
        members: ``(K, M)`` int64, places in the flat spectrum.
        shares: ``(K, M)`` float32, the weight of each in the ring's mean; 0 for padding.
        fit: ``(K,)`` float32, weights by which logarithms of power give the slope.
    """

    members: Tensor
    shares: Tensor
    fit: Tensor


@lru_cache(maxsize=8)
def rings_of(height: int, width: int, device: torch.device) -> Rings:
    """Return the rings of ``rfft2`` of images of a size: frequencies are rounded to cycles of the longer side, halves
    up, of which there are many where the sides differ.
    """
    side, exact = max(height, width), {"dtype": torch.float64, "device": "cpu"}
    down, across = torch.fft.fftfreq(height, **exact).view(-1, 1), torch.fft.rfftfreq(width, **exact)
    ring = ((down.square() + across.square()).sqrt() * side + HALF).floor().long().flatten()
    is_twice = ((across > 0) & (across < 0.5)).expand(height, -1).flatten()  # in the half that rfft leaves out
    count = torch.bincount(ring, minlength=side // 2 + 1)
    order = ring.argsort(stable=True)
    place = torch.arange(len(ring), device="cpu") - (count.cumsum(0) - count)[ring[order]]  # of each in its ring
    members = torch.zeros(len(count), int(count.max()), dtype=torch.int64, device="cpu")
    shares = torch.zeros(members.shape, device="cpu")
    members[ring[order], place], shares[ring[order], place] = order, 1.0 + is_twice[order]
    kept = slice(1, side // 2 + 1)  # neither the mean nor what is beyond half a cycle a pixel, in the corners
    members, shares = members[kept], shares[kept] / shares[kept].sum(1, keepdim=True)
    return Rings(members.to(device), shares.to(device), _slope_weights(side // 2).to(device))


def _slope_weights(count: int) -> Tensor:
    """Return the weights by which values at log 1 … log K give their least-squares slope; 0 for fewer than 2."""
    if count < 2:
        return torch.zeros(count, device="cpu")
    x = torch.arange(1, count + 1, device="cpu").double().log()
    centred = x - x.mean()
    return (centred / centred.square().sum()).float()


def _mean(planes: Tensor) -> Tensor:
    return planes.flatten(1).mean(1)


def _variance(planes: Tensor) -> Tensor:
    return (planes.flatten(1) - _mean(planes).unsqueeze(1)).square().mean(1)
