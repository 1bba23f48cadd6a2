"""Fold a BatchNorm into the convolution before it: in eval mode the two are one affine map, and one pass less."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fuse_batch_norm(parent: nn.Module, convolution: str, norm: str) -> None:
    """Replace, in ``parent``, the convolution by the fused one and the BatchNorm by the identity.

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
