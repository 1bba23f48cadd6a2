"""An extractor maps uint8 images to :class:`Features`; it is frozen: neither training nor a cast can change it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn
from torch.backends import cudnn

from streaming_metrics.extractors.names import lookup, network_label
from streaming_metrics.features import Features, Spec
from streaming_metrics.images.captions import as_captions
from streaming_metrics.images.conversion import RANKS, CheckedImages, Takes, check_images, check_shape
from streaming_metrics.precision import PRECISIONS, autocast_to, full_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streaming_metrics.images.window import Window


_in_turn = [RLock()]
"""Threads extract in turn: precision and algorithms are settings of the whole process, which each puts back."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _in_turn.__setitem__(0, RLock()))  # another thread may have held it


class Extractor(nn.Module, ABC):
    """Frozen network from uint8 images ``(N, 3, H, W)``, or clips ``(N, T, 3, H, W)``, to :class:`Features`.

    A subclass sets the attributes below in its constructor and implements :meth:`extract`. It stays in eval mode and in
    its own dtype whatever is done to it or to a parent, asks for no gradient, and is shared rather than copied.

    Attributes:
        name: what users ask for, e.g. ``"inception-v3"``.
        tag: ``[a-z0-9_]+``, the suffix of keys that are not the published measure, e.g. ``fd_efficientnet_lite0``.
        spec: widths of what it yields.
        weights_id: the first hex digits of the weights' sha256.
        resize: the named resize and side, e.g. ``"tf1-bilinear-299"``.
        precision: ``"fp32"``; ``"tf32"``: on GPUs the factors of products rounded to 10 bits, which is what other
            packages run in there unless told otherwise, elsewhere as ``"fp32"``; or ``"bf16"``: the network, not the
            resize, in bfloat16, two to three times as fast where the hardware has it, at 8 bits a number; so are logits
            that the network makes itself. The signature says it.
        layer: the feature layer that ``Features.pool`` holds.
        published: which of ``"pool"``, ``"logits"`` are the reference Inception's, that bare names (``fid``) stand for.
        takes: what its samples are: ``"images"``, or ``"clips"``.
        window: which frames of a clip it looks at; None for images.
        deterministic: whether cuDNN must take the same algorithm every time; if not, it may time them, and choose anew.
        reads_captions: whether it reads the texts that come beside images too: then :meth:`extract` takes them, and
            yields the columns ``spec.widths`` where they came.
    """

    name: str
    tag: str
    spec: Spec
    weights_id: str
    resize: str
    precision: str
    layer: str = "pool"
    published: frozenset[str] = frozenset()
    takes: Takes = "images"
    window: Window | None = None
    deterministic: bool = True
    reads_captions: bool = False

    def __init__(self, precision: str = "fp32") -> None:
        super().__init__()
        lookup(PRECISIONS, precision, "precision")
        self.precision = precision
        self.train(False)

    @abstractmethod
    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images or clips on this extractor's device.

        Where :attr:`reads_captions`, ``extract(images, captions)``: with a tuple of N texts, or with None where there
        are none, of which it then yields no column.
        """

    @property
    def fingerprint(self) -> str:
        """All that changes the features, as one line: equal fingerprints give equal features for equal images."""
        return "|".join([f"{self.name}-{self.weights_id}", self.layer, self.resize, self.precision])

    @property
    def label(self) -> str:
        """Name and weights, as a signature gives them; the layer too where it is not the usual one."""
        return network_label(self.name, self.weights_id, str(self.layer))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((tensor.device for tensor in (*self.parameters(), *self.buffers())), torch.device("cpu"))

    def cast(self) -> torch.autocast:
        """Return the context that :meth:`extract` runs the network in: that of :attr:`precision`."""
        return autocast_to(self.precision, self.device)

    @property
    def of_captions(self) -> tuple[str, ...]:
        """The columns that it makes of captions: where these are missing, it has none of them."""
        return tuple(self.spec.widths) if self.reads_captions else ()

    @final
    def forward(self, images: Tensor | CheckedImages, captions: Sequence[str] | None = None) -> Features:
        """Return the features of uint8 images, or clips where it takes those, float32, on this extractor's device.

        Images that were checked before are not checked again; those may hold captions.

        Args:
            images: the images.
            captions: a text each, for an extractor that reads them; others leave them alone.

        Raises:
            TypeError, ValueError: where the samples are not uint8, of the shape that it takes, and non-empty; where
                captions are not one text an image.
        """
        if isinstance(images, CheckedImages):
            images, captions = images.pixels, images.captions if captions is None else captions
            if images.ndim != RANKS[self.takes]:
                check_shape(images, self.takes)
        else:
            check_images(images, self.takes)
        given: tuple[Any, ...] = ()
        if self.reads_captions:
            given = (None if captions is None else as_captions(captions, len(images), self.name),)
        device = self.device
        settings = full_precision(device, self.precision == "tf32"), same_algorithms(self.deterministic)
        with _in_turn[0], torch.no_grad(), settings[0], settings[1]:
            return self.extract(images.to(device, non_blocking=device.type == "cuda"), *given)

    def train(self, mode: bool = True) -> Extractor:  # noqa: ARG002
        """Stay in eval mode: a frozen network has no other."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Extractor:  # noqa: ARG002
        """Stay without gradients."""
        return super().requires_grad_(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Extractor:
        device = device_after(fn, self.device)
        return super()._apply(lambda tensor: tensor.to(device), recurse)

    def __deepcopy__(self, memo: dict[int, Any]) -> Extractor:
        return self


def device_after(fn: Callable[[Tensor], Tensor], device: torch.device) -> torch.device:
    """Return where ``fn``, which ``Module._apply`` hands down for ``to`` or ``half``, puts a tensor of ``device``."""
    return fn(torch.empty(0, device=device)).device


@contextmanager
def same_algorithms(wanted: bool) -> Iterator[None]:
    """Keep cuDNN from choosing among algorithms by timing, and from the nondeterministic ones, where ``wanted``."""
    before = cudnn.deterministic, cudnn.benchmark
    if wanted:
        cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
