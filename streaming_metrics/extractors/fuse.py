"""Passes over the pixels that a frozen network does without: a BatchNorm's, and a ReLU's, after a convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.fusion import fuse_conv_bn_eval

ONE_PASS = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
"""What torch.compile puts in the place of a convolution and a ReLU on a CPU; private to torch, so done without where it
is missing.
"""


def fuse_batch_norm(parent: nn.Module, convolution: str, norm: str) -> None:
    """Replace, in ``parent``, the convolution by the fused one and the BatchNorm by the identity: in eval mode the two
    are one affine map.

    Example:
        >>> from collections import OrderedDict
        >>> net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 1, bias=False), bn=nn.BatchNorm2d(4))).eval()
        >>> images = torch.ones(1, 3, 2, 2)
        >>> before = net(images)
        >>> fuse_batch_norm(net, "conv", "bn")
        >>> type(net.bn).__name__, torch.allclose(net(images), before, atol=1e-6)
        ('Identity', True)
    """
    with torch.inference_mode(False):
        fused = fuse_conv_bn_eval(getattr(parent, convolution), getattr(parent, norm))
    setattr(parent, convolution, fused.requires_grad_(False))
    setattr(parent, norm, nn.Identity())


class ConvReLU(nn.Module):
    """A convolution and the ReLU after it, on a CPU in one pass over the pixels.

    Args:
        conv: padded by numbers of zeros, if at all.

    Example:
        >>> conv, images = nn.Conv2d(3, 4, 3).requires_grad_(False), torch.randn(1, 3, 8, 8)
        >>> torch.allclose(ConvReLU(conv)(images), relu(conv(images)), atol=1e-6)
        True
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        conv, autocast = self.conv, torch.is_autocast_enabled(x.device.type)
        dtype = torch.get_autocast_dtype(x.device.type) if autocast else x.dtype
        if not ONE_PASS or not _takes(x.device, dtype):
            return relu(conv(x), inplace=True)
        bias = None if conv.bias is None else conv.bias.to(dtype)
        weight, places = conv.weight.to(dtype), (conv.padding, conv.stride, conv.dilation)
        return ONE_PASS(x.to(dtype), weight, bias, *places, conv.groups, "relu", [], "")


def _takes(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether oneDNN runs there, in this type: a CPU without AVX-512 has no bfloat16, and it does not ask."""
    if device.type != "cpu" or not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    has_bfloat16 = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_bfloat16())
