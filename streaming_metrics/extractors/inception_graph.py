"""The reference Inception: torchvision's blocks with the pooling of TensorFlow's graph of 2015-12-05.

Two differences from torchvision's: average pooling leaves the padding out of its mean, and the last block takes a
maximum where it should average, which the published number has contained ever since.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision.models import inception as tv

from streaming_metrics.extractors.fuse import ConvReLU, fuse_batch_norm
from streaming_metrics.extractors.pooling import max3x3, max3x3_of_half, mean3x3
from streaming_metrics.extractors.weights import frozen_network

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 1008
STAGES = {
    "64": ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
    "192": ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    "768": ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    "2048": ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}
"""The modules, in order, that end in each feature layer."""
SHRUNK = "Mixed_5b", "Mixed_6b"
"""The first modules of 35x35 and of 17x17 pixels."""


def reference_inception(state: dict[str, Tensor]) -> tv.Inception3:
    """Return the frozen reference network of the tensors ``state``, which have torchvision's names.

    Raises:
        ValueError: the tensors are not those of this network.
    """
    network = cast("tv.Inception3", frozen_network(_network, state, "the reference Inception"))
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, tv.BasicConv2d):
                fuse_batch_norm(module, "conv", "bn")
                setattr(parent, name, ConvReLU(module.conv))
    return network


def stages_until(network: tv.Inception3, layer: str) -> list[nn.Sequential]:
    """Return the network up to a feature ``layer`` of :data:`STAGES`, and the mean over space: as stages, that go
    through the more images at a time the fewer pixels are left of one.
    """
    wanted = list(STAGES)[: list(STAGES).index(layer) + 1]
    names = [name for stage in wanted for name in STAGES[stage]]
    cuts = [0, *(names.index(name) for name in SHRUNK if name in names), len(names)]
    stages = [nn.Sequential(*(getattr(network, name) for name in names[a:b])) for a, b in pairwise(cuts)]
    stages[-1].append(SpatialMean())
    return stages


def _network() -> tv.Inception3:
    blocks: list[Callable[..., nn.Module]] = [
        tv.BasicConv2d, BlockA, BlockB, BlockC, BlockD, BlockE, tv.InceptionAux
    ]  # fmt: skip
    network = tv.Inception3(CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False)
    network.maxpool1, network.maxpool2 = MaxOfHalf(3, stride=2), MaxOfHalf(3, stride=2)
    cast("BlockE", network.Mixed_7c).takes_max = True
    return network


def mean_of(branch: nn.Module, x: Tensor) -> Tensor:
    """Return ``relu(conv(mean3x3(x)))`` of a 1x1 convolution with its bias: the two commute, and the mean of the fewer
    channels that come out costs a fraction of the mean of those that go in.
    """
    return relu(mean3x3(cast("ConvReLU", branch).affine(x)), inplace=True)


def chain(x: Tensor, *modules: nn.Module) -> Tensor:
    """Return ``x`` through the modules, one after the other."""
    for module in modules:
        x = module(x)
    return x


class SpatialMean(nn.Module):
    """Features ``(N, D)`` float32 of maps ``(N, D, H, W)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=(2, 3))


class MaxOfHalf(nn.MaxPool2d):
    """:func:`max3x3_of_half` as a module."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return max3x3_of_half(input)


class BlockA(tv.InceptionA):
    """Torchvision's block A with :func:`mean3x3`."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.branch1x1(x),
            chain(x, self.branch5x5_1, self.branch5x5_2),
            chain(x, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3),
            mean_of(self.branch_pool, x),
        ]


class BlockB(tv.InceptionB):
    """Torchvision's block B with :func:`max3x3_of_half`."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.branch3x3(x),
            chain(x, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3),
            max3x3_of_half(x),
        ]


class BlockC(tv.InceptionC):
    """Torchvision's block C with :func:`mean3x3`."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        double = (getattr(self, f"branch7x7dbl_{i}") for i in range(1, 6))
        return [
            self.branch1x1(x),
            chain(x, self.branch7x7_1, self.branch7x7_2, self.branch7x7_3),
            chain(x, *double),
            mean_of(self.branch_pool, x),
        ]


class BlockD(tv.InceptionD):
    """Torchvision's block D with :func:`max3x3_of_half`."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        seven = (getattr(self, f"branch7x7x3_{i}") for i in range(1, 5))
        return [chain(x, self.branch3x3_1, self.branch3x3_2), chain(x, *seven), max3x3_of_half(x)]


class BlockE(tv.InceptionE):
    """Torchvision's block E, where the first takes the mean, and the last, ``takes_max``, the maximum."""

    takes_max = False

    def _forward(self, x: Tensor) -> list[Tensor]:
        single = self.branch3x3_1(x)
        double = chain(x, self.branch3x3dbl_1, self.branch3x3dbl_2)
        return [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(max3x3(x)) if self.takes_max else mean_of(self.branch_pool, x),
        ]
