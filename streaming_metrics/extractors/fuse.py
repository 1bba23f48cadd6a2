"""Passes over the pixels that a frozen network does without: a BatchNorm's, and a ReLU's, after a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.nn.functional import relu
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Callable

    OnePass: TypeAlias = Callable[[Tensor, Tensor, Tensor | None, nn.Conv2d], Tensor]

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
    """A convolution and the ReLU after it, in one pass over the pixels where there is an operator for both.

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
        one_pass = _one_pass(x.device, dtype)
        if one_pass is None:
            return relu(conv(x), inplace=True)
        bias = None if conv.bias is None else conv.bias.to(dtype)
        return one_pass(x.to(dtype), conv.weight.to(dtype), bias, conv)


def _one_pass(device: torch.device, dtype: torch.dtype) -> OnePass | None:
    """Return what convolves and cuts off in one pass there, in this type; None where nothing does."""
    if dtype not in (torch.float32, torch.bfloat16):
        return None
    if device.type == "cuda":  # which AMD's devices are called as well
        return _by_cudnn if torch.version.cuda and cudnn.is_available() and cudnn.enabled else None
    mkldnn = torch.backends.mkldnn
    is_there = ONE_PASS and device.type == "cpu" and mkldnn.is_available() and mkldnn.enabled
    # A CPU without AVX-512 has no bfloat16, and oneDNN does not ask.
    has_type = dtype == torch.float32 or getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)()
    return _by_onednn if is_there and has_type else None


def _by_cudnn(x: Tensor, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> Tensor:
    places: tuple[Any, ...] = conv.stride, conv.padding, conv.dilation
    return torch.cudnn_convolution_relu(x, weight, bias, *places, groups=conv.groups)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> Tensor:
    places = conv.padding, conv.stride, conv.dilation
    return ONE_PASS(x, weight, bias, *places, conv.groups, "relu", [], "")  # pyright: ignore[reportOptionalCall]
