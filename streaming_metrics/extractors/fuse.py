"""Passes over the pixels that a frozen network does without: a BatchNorm's, and a ReLU's, after a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.nn.functional import relu
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_PASS = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
PACK = getattr(torch.ops.mkldnn, "_reorder_convolution_weight", None)
"""What torch.compile puts in the place of a convolution and a ReLU on a CPU, and what lays weights out for it; private
to torch, so done without where they are missing.
"""
TYPES = torch.float32, torch.bfloat16


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

    On a CPU the weights are laid out for it once, beside those that are saved, not at every call.

    Args:
        conv: padded by numbers of zeros, if at all.
        most: what the ReLU cuts off above; 6 is a ReLU6.

    Example:
        >>> conv, images = nn.Conv2d(3, 4, 3).requires_grad_(False), torch.randn(1, 3, 8, 8)
        >>> torch.allclose(ConvReLU(conv)(images), relu(conv(images)), atol=1e-6)
        True
    """

    def __init__(self, conv: nn.Conv2d, most: float | None = None) -> None:
        super().__init__()
        self.conv, self.most = conv, most
        self._packed: tuple[object, Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        dtype = _dtype_of(x)
        if _is_onednns(x.device, dtype):
            bounds = [] if self.most is None else [0.0, self.most]
            return self._by_onednn(x.to(dtype), "hardtanh" if bounds else "relu", bounds)
        if _is_cudnns(x.device, dtype):
            y = _by_cudnn(x.to(dtype), self.conv)
            return y if self.most is None else y.clamp_(max=self.most)
        return relu(self.conv(x), inplace=True) if self.most is None else self.conv(x).clamp_(0, self.most)

    def affine(self, x: Tensor) -> Tensor:
        """Return the convolution alone."""
        dtype = _dtype_of(x)
        return self._by_onednn(x.to(dtype), "none", []) if _is_onednns(x.device, dtype) else self.conv(x)

    def _by_onednn(self, x: Tensor, after: str, numbers: list[float]) -> Tensor:
        conv = self.conv
        bias = None if conv.bias is None else conv.bias.to(x.dtype)
        places = conv.padding, conv.stride, conv.dilation, conv.groups
        return ONE_PASS(x, self._weight_for(x), bias, *places, after, numbers, "")  # pyright: ignore[reportOptionalCall]

    def _weight_for(self, x: Tensor) -> Tensor:
        weight = self.conv.weight
        if PACK is None or weight.is_inference():  # those do not tell that they were changed
            return weight.to(x.dtype)
        key = x.dtype, weight.data_ptr(), weight._version
        if self._packed is None or self._packed[0] != key:
            ready = weight.to(x.dtype).contiguous(memory_format=torch.channels_last)
            conv = self.conv
            places = conv.padding, conv.stride, conv.dilation, conv.groups
            # With what was packed, so that no other weights come to lie at its address.
            self._packed = key, PACK(ready, *places, list(x.shape)), weight.detach()
        return self._packed[1]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ConvReLU:
        self._packed = None
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_packed": None}


def _dtype_of(x: Tensor) -> torch.dtype:
    """Return what a convolution of ``x`` runs in."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _is_cudnns(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether cuDNN convolves and cuts off in one pass; AMD's devices are called cuda as well."""
    is_there = device.type == "cuda" and bool(torch.version.cuda) and cudnn.is_available() and cudnn.enabled
    return is_there and dtype in TYPES


def _is_onednns(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether oneDNN convolves and cuts off in one pass."""
    mkldnn = torch.backends.mkldnn
    is_there = ONE_PASS and device.type == "cpu" and mkldnn.is_available() and mkldnn.enabled and dtype in TYPES
    # A CPU without AVX-512 has no bfloat16, and oneDNN does not ask.
    has_type = dtype == torch.float32 or getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", bool)()
    return bool(is_there and has_type)


def _by_cudnn(x: Tensor, conv: nn.Conv2d) -> Tensor:
    bias = None if conv.bias is None else conv.bias.to(x.dtype)
    places: tuple[Any, ...] = conv.stride, conv.padding, conv.dilation
    return torch.cudnn_convolution_relu(x, conv.weight.to(x.dtype), bias, *places, groups=conv.groups)
